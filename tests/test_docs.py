"""The documentation: generated pages, links, commands, settings and numbers against the code."""

import html.parser
import io
import re
import shlex
from dataclasses import fields
from functools import cache, partial
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.cli import get_argument_parser

import docs_pages
import file_formats
from conftest import ROOT
from plmscale.cli.commands import COMMANDS
from plmscale.cli.main import parser_of
from plmscale.estimates import STATUSES
from plmscale.laws import schedule_effect
from plmscale.laws.chinchilla import MAX_CONDITION
from plmscale.laws.confidence import misfit, uncertainty, verdicts
from plmscale.laws.confidence.kaplan_profiles import MAX_DECADES
from plmscale.laws.confidence.run_noise import MIN_FREE
from plmscale.laws.fit import Fit, FitSettings
from plmscale.laws.isoflop import MIN_BUDGETS, MIN_SIZES_PER_BUDGET, WINDOW
from plmscale.laws.kaplan import MAX_FACTOR
from plmscale.laws.plateau_levels import FLAT_SHARE
from plmscale.plan.grid_choice import LEAST_LENGTHS, LEAST_RUNS, LEAST_SIZES
from plmscale.plan.identifiability import NOISE, knowledge
from plmscale.plan.plan import plan_summary, whole_plan
from plmscale.presentation.formats import compact, given
from plmscale.published import paper
from plmscale.published.reproduce import targets
from plmscale.runs.tidy import tidy
from plmscale.sequences.store import FILES, Store, build_store
from plmscale.sets.subsets import describe
from plmscale.study.config import Analysis, Config, Settings
from plmscale.study.flops import count_params, train_flops
from plmscale.study.grid import RESIDUES_PER_SEQUENCE, grid
from plmscale.study.jobs import planned_tokens
from plmscale.study.schedules import DECAYS as SCHEDULES
from plmscale.study.study import load_study
from plmscale.training.monitor import METRICS

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "config/README.md",
        ROOT / "benchmarks/README.md",
    )
)
WRITTEN = [name for name in PAGES if name not in ("docs/reference/cli.md", "docs/reference/files.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


@cache
def text_of(name: str) -> str:
    """A page with what it includes, whole files or lines of them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r'^--8<-- "([^":]+)(?::(\d+):(\d*))?"$', included, text, flags=re.M)


def included(found: re.Match[str]) -> str:
    lines = text_of(found[1]).splitlines()
    return "\n".join(lines[int(found[2] or 1) - 1 : int(found[3]) if found[3] else None])


@cache
def anchors(name: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(name)), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


GLOSSARY = "docs/glossary.md"
COMMON_WORDS = {
    *("Attempt", "Batch", "Branch", "Budget", "Claim", "Engine", "Extra", "Grid", "Interval", "Noise", "Pass"),
    *("Plan", "Profile", "Rank", "Run", "Schedule", "Seed", "Set", "Size", "Store", "Study", "Sweep", "Target"),
    *("Checkpoint", "Coverage", "Sensitivity", "E", "a and b", "Alpha and beta"),
}
"""Terms of the glossary that are also words of plain English, or symbols: a text may use them before it links."""


def terms_of_the_glossary() -> dict[str, list[str]]:
    """Terms by group: headings of the third level below those of the second."""
    groups: dict[str, list[str]] = {}
    for level, title in re.findall(r"^(##|###) (.+)$", text_of(GLOSSARY), re.M):
        if level == "##":
            group = groups.setdefault(title, [])
        else:
            group.append(title)
    return groups


def special_terms() -> list[str]:
    return [term for terms in terms_of_the_glossary().values() for term in terms if term not in COMMON_WORDS]


def forms_of(term: str) -> str:
    """A pattern of a term, in any case, in the singular or the plural: allocation, IsoFLOP profiles, N_opt."""
    words = re.escape(term).replace(r"\ ", r"\s+")
    return rf"(?<![\w/.`]){words}(?:s|es)?(?![\w/`])"


def test_the_glossary_is_in_order_and_defines_each_term_once():
    groups = terms_of_the_glossary()
    every = [term for terms in groups.values() for term in terms]
    assert len(every) > 50 and len(every) == len({term.lower() for term in every})
    for group, terms in groups.items():
        assert terms == sorted(terms, key=str.lower), group
    entries = re.split(r"^#{2,3} .+$", text_of(GLOSSARY), flags=re.M)
    titles = re.findall(r"^#{2,3} (.+)$", text_of(GLOSSARY), re.M)
    empty = [title for title, entry in zip(titles, entries[1:], strict=True) if not entry.strip()]
    assert empty == list(groups), "a term without a definition"
    assert set(every) >= COMMON_WORDS, "words that the glossary no longer has"


@pytest.mark.parametrize(
    "term",
    [
        *("cell", "run", "size", "set", "holdout", "schedule", "trunk", "branch", "pass", "budget", "seed", "store"),
        *("study", "plan", "allocation", "calibration", "claim", "verdict", "envelope", "isoflop-profile", "plateau"),
        *("parametric-law", "chinchillas-law", "kaplans-law", "repeated-data", "tokens-per-parameter", "edge-optimum"),
        *("flop-convention", "micro-batch", "batch", "a-and-b", "alpha-and-beta", "e", "n_opt", "interval", "extra"),
        *("profile-likelihood", "bootstrap", "misfit", "held-out-error", "confounding", "device-hours", "utilisation"),
    ],
)
def test_the_glossary_has_an_anchor_for(term):
    assert term in anchors(GLOSSARY)


def test_the_glossary_names_every_value_that_code_gives_a_term():
    text = text_of(GLOSSARY)
    named = [*STATUSES, *SCHEDULES, *get_args(Analysis.model_fields["flops"].annotation)]
    assert not [value for value in named if f"- `{value}`: " not in text]


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/")] + ["README.md"])
def test_a_page_links_to_the_glossary_before_it_uses_one_of_its_terms(name):
    """Headings, code and what a link or an image shows aside."""
    if name == GLOSSARY:
        return
    text = re.sub(r"^#.*$|<!--.*?-->|!\[[^\]]*\]", "", FENCE.sub("", text_of(name)), flags=re.M)
    link = re.search(r"\]\([^)]*glossary\.md", text)
    assert link, f"{name} has no link to the glossary"
    before = text[: text.rfind("[", 0, link.start() + 1)]
    used = [term for term in special_terms() if re.search(forms_of(term), before, re.I)]
    assert not used, f"{name} uses {used} before it links to the glossary"


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return docs_pages.pages(ROOT)


def test_generated_pages_have_not_drifted(generated):
    """After a change of the code: python docs/generators/docs_pages.py."""
    for name, text in generated.items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, name


def test_every_program_and_option_is_described(generated):
    assert {"train", "fit", "evaluate", "export", "reproduce", "run", "plan"} <= set(COMMANDS)
    rows = [line for line in generated["docs/reference/cli.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 40 and not [row for row in rows if row.endswith("|  |")]


def test_described_columns_and_keys_are_those_that_the_code_writes(tmp_path):
    assert list(file_formats.METRICS_MEANINGS) == METRICS.names
    assert list(file_formats.FIT_MEANINGS) == [field.name for field in fields(Fit)]
    assert list(file_formats.STATUS_MEANINGS) == list(STATUSES)
    assert tuple(file_formats.STORE_FILES) == FILES
    (tmp_path / "a.fasta").write_text(">a\nMKV\n>b\nMKVL\n")
    stats = build_store(tmp_path / "a.fasta", tmp_path / "store")
    assert set(file_formats.STATS_MEANINGS) == set(stats)
    counts = describe(
        Store.open(tmp_path / "store"),
        np.arange(2),
        name="s",
        kind="all",
        min_identity=None,
        max_length=8,
        provenance={},
    )
    assert list(file_formats.SUBSET_MEANINGS) == list(counts)


@pytest.mark.parametrize("name", PAGES)
def test_links_and_anchors_resolve(name):
    for link in LINK.findall(FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), f"{name}: {link}"


def commands(name: str) -> list[list[str]]:
    """Commands in the blocks of a page that are meant for a shell, as words."""
    blocks = [body for language, body in FENCE.findall(text_of(name)) if language == "bash"]
    lines = [shlex.split(line.partition(" | ")[0], comments=True) for body in blocks for line in body.splitlines()]
    return [words for words in lines if words]


@cache
def options_of(program: str) -> set[str]:
    return {option for action in parser_of(program)._actions for option in action.option_strings}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("name", WRITTEN)
def test_commands_name_programs_options_settings_and_targets_that_exist(name):
    rules = "\n".join(path.read_text() for path in (ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")))
    targets_of_rules = set(re.findall(r"^rule (\w+):", rules, re.M))
    for words in commands(name):
        assert not any(word.startswith("plmscale.") for word in words), f"{words}: modules are no programs"
        if words[0] == "plmscale" and words[1].strip("-") not in ("version", "help"):
            assert words[1] in COMMANDS, words
            own = words[: words.index("--")] if "--" in words else words
            flags = {word.split("=")[0] for word in own if word.startswith("--")}
            assert flags <= options_of(words[1]), words
            check_study_words(own[1:], targets_of_rules)
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= make_targets(), words
        if words[0] == "snakemake":
            keys = [word.split("=")[0] for word in words if "=" in word and not word.startswith("-")]
            assert set(keys) <= {*Config.model_fields, "cell"}, words  # `cell`: see common.smk
            bare = {word for word in words[1:] if re.fullmatch(r"[a-z_]+", word)} - {"rules", "all", "train"}
            assert bare <= targets_of_rules, words
            files = get_argument_parser().parse_args(words[1:]).configfile or []
            assert all(path.suffix == ".yaml" for path in files), f"{words}: --configfile takes the target for a file"


def check_study_words(words: list[str], targets_of_rules: set[str]) -> None:
    """Settings, targets and files of `plmscale run` and its like exist."""
    args = parser_of(words[0]).parse_args(words[1:])
    settings = [word.partition("=")[0] for word in getattr(args, "config", [])]
    assert set(settings) <= {*Config.model_fields, "cell"}, words
    assert set(getattr(args, "targets", [])) <= targets_of_rules | {"all"}, words
    files = getattr(args, "configfile", [])
    for path in files if isinstance(files, list) else [files] if files else []:
        assert path.name.startswith("my") or (ROOT / path).is_file(), words


def keys_of(block: type[Settings], prefix: str = "") -> set[str]:
    """Every setting by its dotted name, blocks included."""
    found = set()
    for name, field in block.model_fields.items():
        found.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            found |= keys_of(field.annotation, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_settings_and_modules_that_are_named_exist(name):
    known = keys_of(Config)
    blocks = "|".join(key for key in Config.model_fields if any(k.startswith(f"{key}.") for k in known))
    for setting in re.findall(rf"`((?:{blocks})\.[a-z_.]+)(?:`|:)", text_of(name)):
        assert setting in known, f"{name}: {setting}"
    for found in re.findall(r"`plmscale\.([a-z_.]+)", text_of(name)):
        paths = [
            ROOT / "src/plmscale" / found.replace(".", "/"),
            ROOT / "src/plmscale" / found.rpartition(".")[0].replace(".", "/"),
        ]
        assert any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths), found


def test_the_table_of_runs_that_the_how_to_shows_can_be_read():
    body = next(body for _, body in FENCE.findall(text_of("docs/howto/own-runs.md")) if body.startswith("run,"))
    frame = tidy(pd.read_csv(io.StringIO(body), dtype=str), source="runs.csv").frame
    assert frame["n_params"].tolist() == [5e6, 5e6, 15e6]


def error_of_a(sizes: int, lengths: int, span: float) -> float:
    n, d = np.meshgrid(1e7 * np.geomspace(1, span, sizes), 1e9 * np.geomspace(1, span, lengths))
    return knowledge(n.ravel(), d.ravel()).relative_error["a"]


def test_numbers_in_identifiability_are_those_of_the_code(paper_study):
    cells = [cell for cell in grid(paper_study) if cell.schedule == "token_decay"]
    tokens = planned_tokens(paper_study)
    papers = knowledge([count_params(c.model) for c in cells], [tokens[c.subset] for c in cells])
    half_life = np.log(2) / -np.log(cells[0].training.decay_rate) * cells[0].training.decay_tokens
    stated = [
        f"| 4 sizes × 4 lengths | 16 | 10 | 10 | {error_of_a(4, 4, 10):.1%} |",
        f"| 8 × 8 | 64 | 10 | 10 | {error_of_a(8, 8, 10):.1%} |",
        f"| 4 × 4 | 16 | 100 | 100 | {error_of_a(4, 4, 100):.1%} |",
        f"| {papers.runs} | {papers.span_params:.0f} | {papers.span_tokens:.1f} | {papers.relative_error['a']:.0%} |",
        f"halved after {half_life / 1e9:.2f}B tokens",
        f"noise of {NOISE} in log loss",
        f"more than {uncertainty.FAILED_SHARE_VOID:.0%} of the resamples",
        f"the interval of a is wider than {verdicts.VOID_EXPONENT}",
        f"more than {verdicts.FAILED_SHARE_WEAK:.0%} do not, the interval is wider than {verdicts.WIDE_EXPONENT}",
        f"fewer than {verdicts.MIN_SIZES} pairs of neighbouring sizes",
        f"fewer than {MIN_BUDGETS} budgets",
        f"condition number is above {MAX_CONDITION:.0f}",
        f"spans more than {MAX_DECADES:.0f} decades",
        f"spans more than a factor of {MAX_FACTOR:.0f}",
        f"at least {schedule_effect.STOPPED_SHARE:.0%} of the runs",
        f"less than {schedule_effect.LOW_LEARNING_RATE:.0%} of their learning rate",
        f"clipped at {misfit.CLIP_SIGMAS} robust",
        f"at most {misfit.FALSE_ALARMS:.0%} of studies",
    ]
    assert_stated("docs/explanation/identifiability.md", stated)


def test_numbers_of_the_paper_are_those_that_tables_show():
    """The page has every number of `published.paper`, written as the table of the paper writes it."""
    printed = [*paper.EXPONENTS.values(), *paper.KAPLAN.values(), *paper.SIZES.values(), *paper.PERPLEXITIES.values()]
    printed += [number for levels in paper.LINES.values() for number in levels.values()]
    assert len(printed) == 20
    assert_stated("docs/explanation/paper.md", [given(number) for number in printed])


def test_numbers_in_other_pages_are_those_of_the_code(paper_study):
    settings = FitSettings()
    stated = [
        f"{settings.n_envelope:,} log-spaced FLOPs",
        f"(six sizes: {1 / 6**2:.0%})",
        f"the best size and {WINDOW} sizes on either side at each of {settings.n_isoflop} budgets",
        f"needs {MIN_SIZES_PER_BUDGET} sizes at a budget",
        f"δ = {settings.huber_delta}",
        f"less than {FLAT_SHARE:.0%} of the drop",
        f"({MIN_FREE} degrees of freedom)",
        f"no further than {settings.extrapolation_factor:.0f} times the largest size",
        ", ".join(f"{100 * level:.0f}" for level in settings.levels[:-1]),
    ]
    assert_stated("docs/explanation/estimators.md", stated)
    least = f"at least {LEAST_SIZES} sizes, {LEAST_LENGTHS} lengths and {LEAST_RUNS} runs"
    assert_stated("docs/howto/plan.md", [least, f"noise of {NOISE} in log loss"])
    ratios = []
    for model in (paper_study.models[0], paper_study.models[-1]):
        of = partial(train_flops, model, 1, max_length=paper_study.config.max_length)
        ratios.append(of(convention="appendix_e") / of(convention="6nd"))
    assert_stated(
        "docs/explanation/flops.md",
        [
            f"{ratios[0]:.3f} times lower at 5M and {ratios[1]:.3f} times at 650M",
            f"have about {RESIDUES_PER_SEQUENCE + 2}",
        ],
    )
    n_published = sum(len(target.get("numbers", [])) for target in targets().values())
    for name in ("docs/howto/compare.md", "README.md"):
        assert_stated(name, [f"{n_published} published numbers"])


def assert_stated(name: str, stated: list[str]) -> None:
    """Each sentence stands in the page, whatever its line breaks and the blank before a per cent sign."""
    page = " ".join(text_of(name).replace(" %", "%").split())
    missing = [one for one in stated if " ".join(one.replace(" %", "%").split()) not in page]
    assert not missing, f"{name} does not say: {missing}"


class _Requests(html.parser.HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in ("canonical", "next", "prev"):
            return
        self.found += [values[key] or "" for key in ("src", "href") if key in values and tag != "a"]


def test_the_site_builds_without_a_warning_and_asks_no_other_server(tmp_path):
    mkdocs = pytest.importorskip("mkdocs.commands.build", reason="mkdocs is in the extra `docs`")
    from mkdocs.config import load_config

    mkdocs.build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        requests = _Requests()
        requests.feed(page.read_text(encoding="utf-8"))
        assert not [url for url in requests.found if re.match(r"(https?:)?//", url)], page.name
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    assert not [page for page in pages if f": {page}" not in navigation]


@pytest.mark.parametrize(
    ("name", "configuration"), [("tutorial", "config/toy.yaml"), ("howto/plan", "config/config.yaml")]
)
def test_cells_and_cost_that_pages_quote_are_those_of_the_plan(name, configuration):
    study = load_study(yaml.safe_load((ROOT / configuration).read_text()), base=ROOT)
    total = plan_summary(whole_plan(study, {}, {}), study.config.hardware).iloc[-1]
    hours = total["device_hours"]
    cost = f"{hours:,.0f}" if hours > 1 else f"{hours:.3f}"
    flops = compact(total["flops_appendix_e"])
    assert_stated(f"docs/{name}.md", [f"{total['cells']} cells, {flops} FLOPs", f"{cost} device-hours"])


def test_models_in_the_published_table_are_as_many_as_pages_say():
    rows = pd.read_csv(ROOT / Config.model_fields["published_models"].default, sep="\t", comment="#")
    for name in ("README.md", "docs/howto/published.md"):
        assert re.search(rf"{len(rows)} published protein|{len(rows)} protein language models", text_of(name))
