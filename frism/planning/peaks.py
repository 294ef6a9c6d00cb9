"""A machine's rates from its published peaks: what may be expected of a GPU that nobody measured yet.

A product reaches SUSTAINED of the peak, or what reading the weights at STREAMED of the bandwidth leaves. All
other rates are set below and are guesses of the right order: a derived profile says so wherever it is shown.
"""

from pydantic import BaseModel, ConfigDict, Field

from frism.planning.machines import Algebra, Machine

SUSTAINED, STREAMED = 0.6, 0.75
TOKENS = (1, 8, 64, 256, 1024, 8192)
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
# cuSOLVER's dense routines are bound by latency more than by arithmetic: a SVD of 3584 x 3584 takes seconds.
ALGEBRA: dict[Algebra, dict[int, float]] = {
    "gesdd": {1024: 1.5e11, 4096: 4e11},
    "qr": {256: 1e12, 4096: 4e12},
}
EIGENVALUES = 0.015  # of the peak in double precision
READ, WRITE, CACHED = 2e9, 1e9, 6e9  # an NVMe disk, and files in memory
HOST = 2e10  # element-wise arithmetic in main memory
HASH, LOAD = 1.5e9, 2e9  # on one core; stored bytes through main memory to the GPU
OVERHEAD = 6e-4  # seconds that Python and kernel launches take for a decoder layer
START_PLAIN, START, START_MODEL = 0.5, 5.0, 8.0
PROCESS_PLAIN, PROCESS, PROCESS_MODEL = 2e7, 1.5e9, 2e9


class Peaks(BaseModel):
    """What a data sheet says of a GPU: operations a second by precision (dense), bytes a second, bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    source: str
    cores: int = Field(ge=1, description="of the computer that is assumed around it")
    memory: float = Field(gt=0, description="its main memory")
    device_memory: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    matmul: dict[str, float]

    def machine(self) -> Machine:
        """The profile that these peaks let expect."""
        return Machine(
            title=self.title, provenance="derived", source=self.source, device="cuda", cores=self.cores,
            memory=self.memory, device_memory=self.device_memory,
            matmul={
                dtype: {tokens: self._rate(peak, BYTES[dtype], tokens) for tokens in TOKENS}
                for dtype, peak in self.matmul.items()
            },
            algebra={
                **ALGEBRA, "product": {1024: SUSTAINED * self.matmul["float32"]},
                "eigh": {2048: EIGENVALUES * self.matmul["float64"]},
            },
            elementwise=STREAMED * self.bandwidth, host_elementwise=HOST,
            hash=HASH, read=READ, read_cached=CACHED, write=WRITE,
            load=LOAD, overhead=OVERHEAD, start_plain=START_PLAIN, start=START,
            start_model=START_MODEL, process_plain=PROCESS_PLAIN, process=PROCESS,
            process_model=PROCESS_MODEL,
        )  # fmt: skip

    def _rate(self, peak: float, size: int, tokens: int) -> float:
        streaming = 2 * tokens * STREAMED * self.bandwidth / size
        return 1 / (1 / (SUSTAINED * peak) + 1 / streaming)
