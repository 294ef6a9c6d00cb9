"""Write title and legend of every table: what its numbers are, how they were tested, what they leave open."""

from benchmarks.study.compared import Compared
from benchmarks.tables.cell import NEEDED

SCORES = """Scores are shares of right answers on {questions}, in brackets the {level} interval
    (Wilson's; of benchmarks with clusters a bootstrap of whole clusters)."""
TESTED = """The difference is to {against} on the same questions; p: exact McNemar test, two-sided (for
    questions in clusters its sign-flip form, whole clusters at a time); p Holm: adjusted for all tests
    of this table. Gained, lost: questions that became right or wrong."""
POWER = """Detectable: the smallest true difference that about 80 of 100 such studies would find before
    Holm's adjustment (normal approximation; the exact test finds a few less)."""
MEANS = """A group's score is the mean over its benchmarks, each weighing the same. Retention: score
    relative to the reference's."""

LEGENDS = {
    "benchmarks": ("Benchmarks", f"{SCORES} {TESTED} {POWER}"),
    "axes": ("Axes and groups", f"{SCORES} {TESTED} {MEANS} {POWER}"),
    "contrasts": ("Learned variants against their controls and plain injection", f"{SCORES} {TESTED}"),
    "text": (
        "Text only: no image",
        f"""{SCORES} {TESTED} Truncated: answers cut off at the token limit, which count as wrong unless
        they had already said their answer; not extracted: answers in which none was found.""",
    ),
    "tied": (
        "Statistically tied variants",
        """Variants of a column that share a letter are not told apart by an exact paired test (McNemar;
        whole clusters flipped) at {alpha}, adjusted by Holm over all pairs of variants of all groups
        ({group_pairs} tests), and apart from that of all benchmarks ({benchmark_pairs} tests). Letters
        by insert and absorb (Piepho 2004). Bold: shares a letter with the highest score of its column,
        which stands in for a bold maximum. Tied means not told apart by so many questions; it does not
        mean equal.""",
    ),
    "pareto": (
        "The trade-off: Pareto front, hypervolume, perception budget",
        """Mean test scores of both axes with {level} intervals; sd and correlation: paired bootstrap of
        {resamples} resamples, the same drawn questions for all variants (the axes ask different
        questions, so the correlation is near 0). Front: no other variant is as good on both axes and
        better on one; front share: how many resamples agree. Hypervolume: area of the unit square that
        the front dominates (last row), and what it would lose without that variant; its bootstrap leans
        upward, as maxima of noisy numbers do. Loss: perception lost against `{reference}`; loss limit:
        its upper one-sided {level} limit. p: one-sided score test (Tango 1998) of non-inferiority, its
        hypothesis a loss of {margin} or more; p Holm: adjusted over the variants; kept: p Holm below
        {alpha}, that is a loss shown to be smaller than {margin}.""",
    ),
    "flips": (
        "Flipped questions",
        """How many questions each variant gained and lost against `{reference}`. flips.csv lists every
        one of them with the right answer and both models' extracted answers; the raw texts are in
        {texts}.""",
    ),
    "selection": (
        "What was chosen on the dev split",
        """Dev scores of every grid point, with {level} intervals. Chosen: best reasoning among the
        points whose perception is at most {budget} below the reference's{third}.""",
    ),
    "oracle": (
        "Oracles: what choosing by looking would have given (no results)",
        """Not a result, and part of no comparison. Grid on test: the rule of the choice applied to test
        scores of the grid points that were answered on test (with `selection.oracle`; else the chosen
        one alone is). One method's variants on test: the variant that the rule takes by dev against the
        one it takes by test. Dev, budget ignored: best dev reasoning of the sweep whatever its
        perception, against the chosen point's. Gap: the oracle's reasoning minus that of the choice.""",
    ),
    "style": (
        "Style of the answers",
        """Shares of answers from which nothing could be extracted, that were cut at the token limit,
        and that repeat themselves; tokens per answer; the score of the extracted answers, then of the
        raw text.""",
    ),
    "tokens": (
        "Accuracy per token",
        """Tokens: mean length of an answer, thoughts included, without the end token, with a {level}
        interval (bootstrap of questions, whole clusters, {resamples} resamples); score: as in `axes`. Both
        are means over the group's benchmarks, each weighing the same. Front: no other variant scores as
        high with fewer tokens, or higher with as few; front share: how many resamples agree, the same
        drawn questions for tokens and scores of all variants. Truncated: answers cut off at the token
        limit, whose true length is not known; repeated: answers that end in a loop. Tokens that buy no
        score are often one or the other.""",
    ),
    "samples": (
        "Several answers per question",
        """Each question was answered {samples} times at temperature {temperature}, top_p {top_p}. Score:
        the mean over samples, then questions (avg@k), the score of all other tables. Pass at k: the chance
        that one of k samples at least is right, unbiased (Chen et al. 2021); a sample with half a point or
        more is right. Majority at k: the score of the answer that most of k samples give, equal by value,
        averaged over all choices of k samples and over ties; a sample without an answer gives no vote.
        {level} intervals by a bootstrap of whole questions, or their clusters: samples of one question
        are no independent questions. Variance within: of the samples of one question; between: of the
        questions' own means, freed of the former. Here k is the number of samples; every smaller k is in
        the CSV.""",
    ),
    "failures": (
        "Questions that could not be answered",
        """Counted as wrong, in every score and on both sides of every difference, because the study sets
        engine.failures. Picture: it cannot be decoded; too long: the prompt leaves no position of the model
        for an answer; refused: the server refuses the request. On dev: at the point of the grid with the
        most of them. What each one failed of stands in predictions/ under `reason`.""",
    ),
    "official": (
        "VLMEvalKit's own totals",
        """As VLMEvalKit's scorer prints them, on its own scale, once fed with the extracted answers and
        once with the raw text. Where the two differ, style is part of the score.""",
    ),
    "judges": (
        "Rule judge and judge model on the same answers",
        """How often both judge an answer alike, and Cohen's kappa (1: always, 0: no more than by
        chance). A benchmark that a judge model alone can score has no other judge and agrees with
        itself. Empty unless the study configures a judge model.""",
    ),
    "published": (
        "Published numbers beside this study's",
        """Paper: what others published, their own averages and prompts included. Ours: the variant of the
        same method, with {level} intervals; empty where the study has none or did not ask that benchmark.
        Gap: ours minus paper. Within: whether the published number lies in our interval; its own sampling
        error is not known, so it is taken as exact. Gains are differences to the unmodified model, the
        paper's and ours: they compare better where averages are over other benchmarks (note). Verified:
        whether anybody compared the number with the paper itself. Citations and what was really read:
        results/reference/papers. Empty unless the study names published numbers.""",
    ),
    "costs": (
        "Costs",
        """Seconds of generation and generated tokens over the test questions; seconds of all of answering
        and of tuning (with the start of the process), and the peak memory of the process. Times differ from
        run to run.""",
    ),
    "gates_by_layer": (
        "Gates by layer and module",
        """Open fractions of all directions of tau_R at each variant's chosen point: 0 shut, 1 open, whatever
        the strength outside the gates; mean, 10th, 50th and 90th percentile; shut: share below 0.1; open:
        above 0.9. A direction counts once however large it is, and one that shares its gate with others
        counts like any. Controls, which borrow the gates of their reference, are left out, and so are the
        tails of truncated spectra. In the CSV also every layer's modules. {none}""",
    ),
    "gates_by_rank": (
        "Gates by rank",
        """Open fractions by tenth of every matrix' spectrum, 1 the tenth with the largest singular values,
        tail: what a truncated spectrum leaves over, one gate a matrix. Energy share: the tenth's share of
        tau_R's energy (squared Frobenius norm) over all matrices; opened share: how much of that the gates
        let through, whatever the strength. In the CSV also module by module. Directions without a rank
        (frism_random) are left out. {none}""",
    ),
    "energy_by_layer": (
        "Injected energy by layer",
        """Squared Frobenius norm of merged minus V, strength included, beside that of tau_R; ratio: one over
        the other (plain injection has strength squared everywhere); share of injected: of what the variant
        injects in all layers. Variants with gates and the controls made from them. {none}""",
    ),
    "overlap": (
        "Overlap with the leading subspace of tau_V",
        """Leading: the singular directions of tau_V that hold half of its energy (held: the share that they
        do hold). Overlap: the share of an update's energy that lies within their span, on the left (output)
        and the right (input) side; chance: of an update in no direction in particular; whole: of tau_R, which
        is also what these gates would have if they were shuffled within each matrix; opened: of the gated
        tau_R; shut: of what the gates held back. Opened below whole: the gates turned away from what the
        vision training had changed. Correlation: of a direction's gate and overlap, each direction
        counting once (Spearman's partial correlation with the rank held fixed, on which both depend).
        Plain means over matrices; in the CSV matrix by matrix. {none}""",
    ),
    "rank_blocks": (
        "Rank by rank: one block of singular directions injected",
        """Dev scores with {level} intervals of {axes}. Block 0 holds the largest singular values; none: the
        unmodified model; all: plain injection of every direction. Energy share: of tau_R's. Within budget:
        perception at most {budget} below the unmodified model's; best: of its block the best reasoning within
        the budget. Choosing the best of several flatters it. {none}""",
    ),
    "bimodality": (
        "Bimodality of the gates against alpha",
        """Of every grid point of variants that weigh injected energy by alpha: shares of directions with a
        gate below 0.1 (shut), above 0.9 (open) and between. Coefficient: Sarle's bimodality coefficient,
        0.556 for a uniform distribution, 1 for two points; above 0.556 two modes are suspected, though a
        skewed single mode can reach it, too. The paper's quadratic model predicts that gates run to either
        end, more of them open as alpha grows; it does not bound signed gates, which may lie beyond 0 and 1.
        Histograms of twenty bins, the outermost with all beyond, are in the CSV. {none}""",
    ),
    "ablations": (
        "Ablations: other gates against FRISM's",
        f"""{SCORES} Each variant stands at the point chosen for it on dev. The difference is the variant's
        score minus that of the one under against, on the same questions; p: exact McNemar test, two-sided; p
        Holm: adjusted for all tests of this table. Energy: injected over tau_R's, of the variant and of the
        one that it is compared with: who injects less may keep more. Detectable: as
        in `axes`. {{none}}""",
    ),
    "cell": (
        "Which kind of triple this is",
        """Scores of two models on the same questions and their difference, with {level} intervals; p: exact
        McNemar test, p Holm: over this table. `V needs its change`: V minus V's tower on B's language model:
        what vision training did to the language model is needed as far as this is above 0. `R forgot`: B
        minus R, in words, and both behind V's tower: what R lost while it learned to reason. Verdict: yes if
        the whole interval lies above {needed}, no if the whole lies below, unclear otherwise. {none}""",
    ),
    "knock_outs": (
        "Knock-outs: what each block of layers is worth",
        """Scores on drawn dev questions with {level} intervals, under one intervention at a time; difference:
        to the intact variant, or (a change put in: action in) to V's own weights (bare), on the same
        questions; p: exact McNemar test, two-sided; p Holm: over all rows of an entry. Relative: the
        difference over the score that it is to. Carried: the share of the whole change's effect that its
        part loses when it is out, or brings alone; empty unless that effect's interval excludes 0. Here the
        block with the largest difference of each profile; in the CSV every block. {none}""",
    ),
    "depth": (
        "Where along the depth a loss lies",
        """Of the losses by block of layers (of a change put in: the gains), those below 0 counted as 0.
        Centre: of mass, 0 the first layer, 1 the last; entropy: over that of an even profile, 1 all blocks
        alike; Gini: 1 one block alone. {level} percentile intervals of a bootstrap of questions (whole
        clusters, {resamples} resamples); empty where a resample in twenty has no loss at all. Noise spreads
        a profile, so compare variants on the same questions, not with 1 or 0. {none}""",
    ),
    "claims": (
        "What the papers say of merged models",
        """Each row is one claim of Bring Reason to Vision by one knock-out, or one that FRISM shows by
        example, by attention or by counts in answers: its number with a {level} percentile interval of a
        bootstrap of questions (the same questions for V and a merge). Confirmed: the whole interval lies
        above the bound; refuted: below; undecided: neither. No verdict is adjusted for the number of
        verdicts, and a knock-out of another kind is another test of the same claim: read them side by side.
        {none}""",
    ),
    "drift": (
        "How far merges move the residual stream",
        """V and each merge read the same dev questions with V's own answers; after every layer (0: before the
        first) the hidden states of each token are compared. Cosine: of both; relative: the norm of their
        difference over that of V's. A question's value is the mean over its tokens of a kind; means over
        benchmarks, each weighing the same, with {level} intervals of a bootstrap of questions. {none}""",
    ),
    "attention": (
        "How much of what is read goes to the picture",
        """Of the tokens of the question behind the picture, and of each quarter of the answer: picture, the
        attention on the picture's tokens (of 1 in all), mean over heads; relative: over the picture's
        share of the tokens in sight, 1 for attention that looks nowhere in particular; most: of the head that
        looks most; relevant, irrelevant: on a tile that the question is about and on another, over the
        questions that show both, where the world says which. The difference is that of picture to {against}
        on the same questions. A question's value is the mean over its tokens; means over benchmarks, each
        weighing the same, with {level} intervals of a bootstrap of questions. Attention is not explanation.
        {none}""",
    ),
    "drift_losses": (
        "How far merges move the residual stream, beside the perception that they lose",
        """Perception questions on dev. Relative: the drift of a kind of tokens, mean over a third of the
        layers. V, merged, difference: the scores of the stored dev answers to the same questions, with
        {level} interval and exact McNemar test; the same for all rows of a merge. Lost: questions that V got
        right and the merge did not; excess: their drift minus that of the questions that both got right,
        each group resampled apart, empty where there are fewer than two of either. The dev questions chose
        the merge's strength, so that losses on them are smaller than on test. {none}""",
    ),
    "heads": (
        "Which heads look at the picture",
        """As in `attention`, head by head: the attention on the picture's tokens (of 1 in all), with {level}
        intervals of a bootstrap of questions. Here the head that looks most at the picture, of all layers;
        in the CSV every head. The most of many heads flatters itself. {none}""",
    ),
    "tiles": (
        "How much answers depend on one tile",
        """One tile of the picture at a time is painted over: blank, by bare ground; swap, by a tile of
        another colour and number that the question is not about. Changed: the share of answers that would
        no longer be said word for word (exact for greedy decoding); drop: by how much the mean log-likelihood
        of the answer's tokens falls, in nats; attention: on the tile's tokens while the answer is said, in
        the picture as it was, mean over layers and heads. Relevant: tiles that the question is about. A
        question's value is the mean over its tiles; relevant - other is over the questions that show both.
        The difference is that of changed to {against} on the same questions. {level} intervals of a
        bootstrap of questions. {none}""",
    ),
    "attention_use": (
        "Does attention point to what the answer needs?",
        """Top: the share of questions with tiles of both sorts whose most looked-at tile matters; chance:
        what looking at any tile would give. Rank: over a question's tiles, Spearman's correlation of the
        attention on a tile with the answer's drop when it is blank, mean over the questions of three tiles
        or more. {level} intervals of a bootstrap of questions. {none}""",
    ),
    "reflection": (
        "How variants think aloud",
        """Counts per answer to drawn dev questions, as the study stored them; means over benchmarks, each
        weighing the same, with {level} intervals (bootstrap of questions, whole clusters, {resamples}
        resamples). The difference is to {against} on the same questions. Steps: sentences and lines;
        reflections: words of a table (wait, check, alternatively, ...); corrections: an equation whose left
        side came before with another result, or a tile of the miniature read otherwise before; rereads: a
        tile read again (chains of `conditional` do so by design); switches: between scripts; unfinished:
        ends within a thought; truncated: at the token limit; repeated: ends in a loop. {none}""",
    ),
    "same_question": (
        "Is the answer that says more the right one, on the same question?",
        """The variant's answers against those of `{reference}`. Decisive: questions that one got right and
        the other wrong, and on which one counts more. More is right: the share of these on which the one
        with more is the right one, exact {level} interval; p: exact binomial test against one half.
        Association, no effect: a merge may get both longer and righter for one reason. {none}""",
    ),
}
# Added to the legends of tables with scores or tests, where questions were answered by several samples.
AVERAGED = """A question's score is the mean of its {samples} samples: intervals of scores bootstrap whole
    questions, and p is that of the exact sign-flip test of the questions' differences."""
SCORED = ("benchmarks", "axes", "contrasts", "text", "tied", "pareto", "ablations")
NOTHING = "This study has nothing to put here."


def describe_sampling(study: Compared) -> dict[str, object]:
    """Describe how answers were drawn; runs made elsewhere do not say it."""
    sampling = getattr(getattr(study, "engine", None), "sampling", None)
    if sampling is None:
        return dict.fromkeys(("samples", "temperature", "top_p"), "")
    return {"samples": sampling.samples, "temperature": sampling.temperature, "top_p": sampling.top_p}


def describe_third(study: Compared) -> str:
    """Say what a third axis has to do with the choice; nothing where the study names none."""
    rule = study.selection
    if rule.third_axis is None:
        return ""
    if rule.third_budget is None:
        return f"; third is {rule.third_axis}, which chooses nothing"
    return f", and whose third axis ({rule.third_axis}) is at most {rule.third_budget:g} below"


def write_legend(
    name: str, study: Compared, pairs: tuple[int, int] = (0, 0), empty: bool = False,
    questions: str = "the test split", texts: str = "questions.csv",
) -> tuple[str, str]:  # fmt: skip
    """Write title and legend of a table with the study's numbers in it.

    `pairs`: tests of `tied`'s families; `empty`: whether the study has nothing to show in it;
    `questions`: what was scored; `texts`: the file with the raw answers.
    """
    title, text = LEGENDS[name]
    drawn = describe_sampling(study)
    if drawn["samples"] and name in SCORED:
        text = f"{text} {AVERAGED}"
    against = "the variant named under `against`" if name == "contrasts" else f"`{study.reference}`"
    benchmarks = {"perception": study.explain.perception, "reasoning": study.explain.reasoning}
    legend_text = text.format(
        questions=questions,
        texts=texts,
        level=f"{study.statistics.confidence:.0%}",
        alpha=f"{1 - study.statistics.confidence:.3g}",
        resamples=study.statistics.resamples,
        reference=study.reference,
        against=against,
        budget=f"{study.selection.perception_budget:g}",
        margin=f"{study.selection.tolerated:g}",
        third=describe_third(study),
        **drawn,
        group_pairs=pairs[0],
        benchmark_pairs=pairs[1],
        axes=" and ".join(f"{axis} ({named or 'mean of the axis'})" for axis, named in benchmarks.items()),
        needed=f"{NEEDED:g}",
        none=NOTHING if empty else "",
    )
    return title, " ".join(legend_text.split())
