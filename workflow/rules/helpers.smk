# What rules look up by their wildcards.


def cell(wildcards):
    """The cell of a job."""
    path = f"{wildcards.model}/{wildcards.subset}/{wildcards.schedule}/seed{wildcards.seed}"
    if path not in CELLS:
        sys.exit(f"error: {path} is no cell of this study: see models.tsv and `seeds`.")
    return CELLS[path]


def frozen(wildcards):
    """The cell of a job as JSON text."""
    return json.dumps(cell(wildcards).frozen(), indent=2)


def planned(field):
    """A resource of a job from the compute plan of its cell."""
    return lambda wildcards: RESOURCES[cell(wildcards).path][field]


def same_size_as(wildcards):
    """The counts of the set whose size a sample takes, if it names one."""
    other = SUBSETS[wildcards.subset].same_size_as
    return [f"results/subsets/{other}.json"] if other else []


def source(wildcards):
    """The FASTA: downloaded, or the user's, which has to be there."""
    if not cfg.source_is_url and not SOURCE.is_file():
        sys.exit(f"error: source: the FASTA {cfg.source!r} does not exist. Give a path or URL: --config source=…")
    return SOURCE


def store_folder(wildcards, input):
    """The folder of the token store among a job's inputs."""
    return str(Path(input.store[0]).parent)


def subset_science(wildcards):
    """What a set depends on: an estimated size does not matter, nor does whether models are trained on it."""
    subset = SUBSETS[wildcards.subset]
    exact = subset.kind == "sample" and not subset.same_size_as
    return subset.model_dump(mode="json") | {
        "train": False,
        "n_sequences": subset.n_sequences if exact else 1,
    }


def clustering_or(clustered, *, otherwise):
    """A value for sets that MMseqs2 makes, and one for the others."""
    return lambda wildcards: (clustered if SUBSETS[wildcards.subset].kind == "cluster" else otherwise)


def science(*modules):
    """Fingerprint of package modules: cheap rules take it as a parameter, and rerun when the code changes."""
    return provenance.fingerprint(*modules)


def finished_study():
    """The inputs of everything that shows the study."""
    return {
        "runs": "results/analysis/runs.parquet",
        "curves": "results/analysis/curves.parquet",
        "records": collect("results/runs/{cell}/run.json", cell=CELLS),
        "fits": collect("results/fits/{fit}.json", fit=FITS),
        "subsets": collect("results/subsets/{subset}.json", subset=[*SUBSETS, "holdout"]),
        "stats": "results/store/stats.json",
    }
