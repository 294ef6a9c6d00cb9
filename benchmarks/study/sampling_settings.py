"""Say how several answers per question are drawn: the `engine.sampling` part of a study's config."""

from pydantic import Field

from benchmarks.study.section import Section


class SamplingSettings(Section):
    """Holds how answers are drawn at random; the defaults are those that reasoning models are published with.

    After the temperature `top_k`, then `top_p` cut the distribution, as in transformers and vLLM.
    """

    samples: int = Field(4, ge=1, description="answers per question")
    temperature: float = Field(0.6, gt=0, description="that the logits are divided by")
    top_p: float = Field(0.95, gt=0, le=1, description="share of the probability that tokens are drawn from")
    top_k: int | None = Field(None, ge=1, description="likeliest tokens that are drawn from; null: all")
    on_dev: bool = Field(
        False, description="whether dev questions, which choose coefficients, are sampled, too"
    )
    seed: int = Field(0, ge=0, description="of the draws; the study's own unless given")

    @property
    def request(self) -> dict[str, object]:
        """Return temperature, top_p and, if set, top_k, as servers take them."""
        return self.model_dump(include={"temperature", "top_p", "top_k"}, exclude_none=True)

    @property
    def identity(self) -> dict[str, object]:
        """Return what one sample depends on, beside question and number: not how many there are."""
        return self.model_dump(include={"temperature", "top_p", "top_k", "seed"})
