"""Say which language model judges answers: the `judge` part of a study's config."""

from typing import Any, Literal

from pydantic import Field

from benchmarks.study.section import Section


class JudgeSettings(Section):
    """Holds a language model as second judge, behind an OpenAI-compatible server."""

    address: str = Field(description="the server's base address, as http://localhost:8000/v1")
    model: str = Field(min_length=1, description="the model's name on the server")
    prompt_version: Literal["vlmevalkit", "extract-1"] = Field(
        "vlmevalkit",
        description="vlmevalkit: VLMEvalKit's own prompts, on the raw text, where it has any;"
        " extract-1: ours, which asks for the final answer, on every benchmark",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="of the judge's replies")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="the environment variable with the server's key, if it wants one"
    )
    workers: int = Field(8, ge=1, description="requests at a time")
    retries: int = Field(5, ge=0, description="of a request that fails, with growing pauses")
    timeout: float = Field(120, gt=0, description="seconds that one request may take")

    @property
    def identity(self) -> dict[str, Any]:
        """Return what a reply depends on: address, model, prompt version, temperature."""
        return self.model_dump(include={"address", "model", "prompt_version", "temperature"})
