"""Say how vLLM is started: the `engine.vllm` part of a study's config."""

from pydantic import Field

from benchmarks.study.section import Section


class VllmSettings(Section):
    """Holds what vLLM would otherwise choose by the machine, and what only some studies need."""

    tensor_parallel: int = Field(
        1, ge=1, description="GPUs that share one model, for one that does not fit a single GPU"
    )
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="share of a GPU's memory that vLLM may take"
    )
    max_model_len: int | None = Field(
        None, ge=1, description="most tokens of a prompt and its answer; null: as the questions asked need"
    )
    max_num_seqs: int = Field(256, ge=1, description="most questions at once on a GPU")
    max_num_batched_tokens: int = Field(8192, ge=1, description="most tokens of one step on a GPU")
    block_size: int | None = Field(
        None, ge=1, description="tokens of a block of the key-value cache; null: vLLM's choice"
    )
    prefix_caching: bool = Field(True, description="whether equal beginnings of prompts are computed once")
    enforce_eager: bool = Field(False, description="no CUDA graphs; always so on a CPU")
    batch_invariant: bool = Field(
        False,
        description="kernels whose results do not depend on what is computed at the same time"
        " (VLLM_BATCH_INVARIANT; NVIDIA GPUs of compute capability 8.0 on; slower)",
    )
