# What rules look up by their wildcards.


def told(find):
    """A function that has its signature at hand: Snakemake asks for it several times a job."""
    find.__signature__ = inspect.signature(find)
    return find


@told
def this_study(wildcards):
    """No file, where results/ is this study's or nobody's: else nothing is planned."""
    if ANOTHER:
        sys.exit(f"error: {ANOTHER}")
    return []


def shown_study(wildcards):
    """The study whose status is shown: without a configuration the one that lies there."""
    try:
        there = None if GIVEN.configfiles or GIVEN.config else owner.read(Path("results"))
        if there:
            return there.study().to_json()
    except InputError as error:
        sys.exit(f"error: {error}")
    this_study(wildcards)
    return STUDY.to_json()


def cell(wildcards):
    """The cell of a job."""
    this_study(wildcards)
    path = f"{wildcards.model}/{wildcards.subset}/{wildcards.schedule}/seed{wildcards.seed}"
    if path not in CELLS:
        sys.exit(f"error: {path} is no cell of this study: see models.tsv and `seeds`.")
    return CELLS[path]


def chosen(pattern):
    """Of the cell that --config cell=… names."""

    def path(wildcards):
        this_study(wildcards)
        try:
            return pattern.format(cell=remove.named_cell(CHOSEN, cells=CELLS))
        except InputError as error:
            sys.exit(f"error: {error}")

    return path


def own_name(job):
    """The name of a job's rule here, whatever a workflow calls it that has this one as a module; None of its own rules."""
    return next((name for name, proxy in vars(rules)["_rules"].items() if proxy.rule is job.rule), None)


def started(dag):
    """Names of the rules of this workflow whose jobs will run."""
    return {own_name(job) for job in dag.needrun_jobs()} - {None}


def forced_training(dag):
    """The training jobs that a person asked to run again: by --forcerun, --force or --forceall."""
    return [job for job in dag.needrun_jobs() if own_name(job) in ("train", "trunk") and dag.reason(job).forced]


def asked_for(dag):
    """The workloads of the cells and trunks that were asked for: of one cell its own, not the study's."""
    paths = {Path(job.output[-1]).parent.as_posix() for job in dag.jobs if own_name(job) in ("train", "trunk")}
    paths = {path.removeprefix("results/runs/").removeprefix("results/") for path in paths}
    every = jobs.workloads(STUDY, COUNTED, shared=TRUNKS)
    return {path: work for path, work in every.items() if path in paths}


@told
def frozen(wildcards):
    """The cell of a job as JSON text."""
    return json.dumps(cell(wildcards).frozen(), indent=2)


def planned(field):
    """A resource of a job from the compute plan of its cell; where all have the same, no job has to look it up."""
    found = told(lambda wildcards: RESOURCES[cell(wildcards).path][field])
    return ALIKE.get(field, found)


def trunk_of(wildcards):
    """The trunk of a job."""
    this_study(wildcards)
    path = f"{wildcards.model}/{wildcards.subset}/seed{wildcards.seed}"
    if path not in TRUNKS:
        sys.exit(f"error: {path} is no trunk of this study: no two cells of the schedule wsd have one in common.")
    return TRUNKS[path]


@told
def frozen_trunk(wildcards):
    """What a trunk depends on, as JSON text."""
    return json.dumps(trunk_of(wildcards).cell.frozen(), indent=2)


def planned_trunk(field):
    """A resource of a job from the compute plan of its trunk."""
    return told(lambda wildcards: RESOURCES[jobs.TRUNKS + trunk_of(wildcards).path][field])


@told
def trunk_until(wildcards):
    """Passes until which a trunk is trained."""
    return trunk_files.until_passes(trunk_of(wildcards), results=Path("results"))


@told
def keep_at(wildcards):
    """Passes before which a trunk keeps a checkpoint: no other, added between them, trains it again."""
    return ",".join(map(str, trunk_of(wildcards).points))


def trunk_record(finished):
    """The trunk of cells that have branched off from it, or of those that have not; none where there is none."""

    @told
    def record(wildcards):
        path = cell(wildcards).path
        found = BRANCHES.get(path)
        return [f"results/trunks/{found.path}/trunk.json"] if found and (path in found.finished) == finished else []

    return record if BRANCHES else []


def fitted_cells():
    """The cells that a forecast rests on."""
    return [one.path for one in rests_on(STUDY, of_sets(STUDY))]


def forecast_study(wildcards):
    """The study that a forecast is of."""
    this_study(wildcards)
    if not cfg.forecast.sets:
        sys.exit("error: forecast.sets: no set. Name some: --config forecast='{sets: [large]}'")
    return STUDY.to_json()


def forecast_first():
    """The forecast that comes before a cell; of a cell that was trained without one, none."""

    @told
    def made(wildcards):
        return ["results/forecast/made.txt"] if cell(wildcards).path in FORECAST else []

    return made if FORECAST else []


def trunk_checkpoints():
    """Where a cell branches off from; a run of the bracket check does from nothing."""

    @told
    def checkpoints(wildcards):
        found = None if hasattr(wildcards, "rate") else BRANCHES.get(cell(wildcards).path)
        return f"results/trunks/{found.path}/checkpoints" if found else "none"

    return checkpoints if BRANCHES else "none"


def planned_for_size(field):
    """A resource of the job that times a size: that of the cell that it stands for."""
    return told(lambda wildcards: RESOURCES[TIMED[wildcards.model].path][field])


def timed_subset(wildcards):
    """The set of the cell that is timed for a size, which need not be there yet."""
    return f"results/subsets/{TIMED[wildcards.model].data}.npy"


def specification(wildcards):
    """What is timed for a size, as JSON text."""
    return calibration.specification(STUDY, TIMED[wildcards.model])


@told
def training_set(wildcards):
    """The ids that a cell is trained on: a set that makes passes over another has none of its own."""
    return f"results/subsets/{cell(wildcards).data}.npy"


def passed_over(wildcards):
    """The counts of the set that another one makes passes over."""
    return f"results/subsets/{SUBSETS[wildcards.subset].of}.json"


def passes_over(wildcards):
    """The row of a set that makes passes over another; what is trained on it does not matter."""
    return SUBSETS[wildcards.subset].model_dump(mode="json", exclude={"schedules", "models", "n_seeds", "n_tokens"})


def same_size_as(wildcards):
    """The counts of the set whose size a sample takes, if it names one."""
    other = SUBSETS[wildcards.subset].same_size_as
    return [f"results/subsets/{other}.json"] if other else []


def source(wildcards):
    """The FASTA: downloaded, or the user's, which has to be there unless its proteins were counted already."""
    this_study(wildcards)
    if not cfg.source_is_url and not SOURCE.is_file() and not Path("results/store/stats.json").is_file():
        sys.exit(f"error: source: the FASTA {cfg.source!r} does not exist. Give a path or URL: --config source=…")
    return SOURCE


def retrieval(wildcards):
    """What is known of a downloaded source."""
    return [f"{SOURCE}.retrieval.json"] if cfg.source_is_url else []


def own_runs(wildcards):
    """The runs that somebody trained, which have to be there."""
    if cfg.runs is None or not Path(cfg.runs).exists():
        sys.exit(f"error: runs: {cfg.runs!r} does not exist. Give a table or a folder of runs: --config runs=…")
    return cfg.runs


def compared_files(wildcards):
    """What is read of the folders that are compared."""
    if not cfg.compare:
        sys.exit("error: compare: no folder. Give folders of results: --config compare=[results_a,results_b]")
    try:
        return [str(path) for folder in cfg.compare for path in layout(Path(folder)).files]
    except InputError as error:
        sys.exit(f"error: {error}")


def advised_curves(wildcards):
    """The curves of the runs that advice is about; without a budget there is no question, and nothing is trained to answer it."""
    if cfg.advice.budget_gpu_hours is None:
        sys.exit("error: advice.budget_gpu_hours: no budget. Give one: --config advice='{budget_gpu_hours: 500}'")
    return rules.curves.output.curves


def captions(wildcards):
    """What stands below the figures and tables of the report."""
    return sorted(map(str, (ROOT / "workflow/report").rglob("*.rst")))


def templates(wildcards):
    """The layout of the report: a change of it writes the page again."""
    return sorted(map(str, Path(provenance.__file__).with_name("presentation").joinpath("page/templates").iterdir()))


@told
def store_folder(wildcards, input):
    """The folder of the token store among a job's inputs."""
    return str(Path(input.store[0]).parent)


def subset_science(wildcards):
    """What a set depends on: an estimated size does not matter, nor does whether models are trained on it."""
    subset = SUBSETS[wildcards.subset]
    exact = subset.kind == "sample" and not subset.same_size_as
    same = {"train": False, "n_sequences": subset.n_sequences if exact else 1}
    return subset.model_dump(mode="json", exclude={"of", "epochs", "schedules", "models", "n_seeds", "n_tokens"}) | same


def clustering_or(clustered, *, otherwise):
    """A value for sets that MMseqs2 makes, and one for the others."""
    return lambda wildcards: (clustered if SUBSETS[wildcards.subset].kind == "cluster" else otherwise)


def search_memory(wildcards, input):
    """Memory of the holdout's search, whose index is split: by the residues of the store, or UniRef50's before it is."""
    return _mmseqs_memory(input, per_residue=3)


def set_memory(wildcards, input):
    """Memory of the job that makes a set."""
    clustered = SUBSETS[wildcards.subset].kind == "cluster"
    return _mmseqs_memory(input, per_residue=10) if clustered else 8000


def _mmseqs_memory(input, *, per_residue):
    tokens = Path(input.store[0])
    n_residues = tokens.stat().st_size if tokens.exists() else mmseqs_memory.UNIREF50
    return mmseqs_memory.job_memory_mb(n_residues, per_residue=per_residue, limit=cfg.clustering.memory_limit)


def science(*modules):
    """Fingerprint of package modules, what they import, and the scripts: cheap rules take it as a parameter, and rerun
    when the code changes."""
    return provenance.fingerprint(*modules, scripts=ROOT / "workflow/scripts")
