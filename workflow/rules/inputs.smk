# What rules of the analysis and of the bracket check take in.


def analysed_study():
    """What the study's sets and laws are."""
    return {
        "curves": "results/analysis/curves.parquet",
        "fits": collect("results/fits/{fit}.json", fit=FITS),
        "subsets": collect("results/subsets/{subset}.json", subset=[*SUBSETS, "holdout"]),
        "stats": "results/store/stats.json",
    }


def fitted_study():
    """What is known of the study once its laws are fitted, for what computes."""
    return analysed_study() | {
        "records": collect("results/runs/{cell}/run.json", cell=CELLS)
        + collect("results/trunks/{trunk}/trunk.json", trunk=COUNTED_TRUNKS),
    }


def forecast_made():
    """What was predicted, if anything was."""
    return ["results/forecast/made.txt"] if FORECAST else []


def finished_study():
    """The inputs of everything that shows the study, which computes nothing."""
    return analysed_study() | {"findings": collect("results/analysis/{finding}.json", finding=FINDINGS)}


@told
def frozen_bracket(wildcards):
    """A run of the check as JSON text."""
    return json.dumps(bracket_run(STUDY, cell(wildcards), wildcards.rate), indent=2)


def bracketed(rate):
    """The record of the run at a rate."""

    def record(wildcards):
        this_study(wildcards)
        return f"results/bracket/{rate}/{bracket_cell(CELLS.values(), STUDY).path}/run.json"

    return record
