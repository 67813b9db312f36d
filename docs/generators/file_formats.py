"""What the files of a study hold, in words: the reference of file formats is made of these (`docs_pages`).

Tests compare the names here with files that the code writes.
"""

METRICS_MEANINGS = {
    "step": "Optimizer steps done.",
    "n_tokens": "Tokens seen since the start, START and END included, padding not.",
    "squared_lengths": "Σ length² of the sequences seen since the start: with `n_tokens`, FLOPs by any convention.",
    "loss": "Mean over the positions predicted since the row before, nats per masked token.",
    "n_predicted": "Positions predicted since the row before.",
    "learning_rate": "Of the next step.",
    "lr_fraction": "The same ÷ lr0.",
}
"""Columns of metrics.parquet; types are in `plmscale.training.monitor.METRICS`."""

RECORD_MEANINGS = {
    "cell": "What the result depends on: the `cell.json` that was trained.",
    "status": "`done` or `diverged`.",
    "stopped": "`plateau` if `training.stop` ended the run, else null.",
    "reason": "Why it diverged, or at which token it was stopped and why; else null.",
    "n_params": "N by appendix F.",
    "n_steps": "Optimizer steps.",
    "n_tokens": "Tokens seen.",
    "squared_lengths": "Σ length² of the sequences seen.",
    "pass_tokens": "Tokens of one pass over the set; records of older versions have it in `unique_tokens`.",
    "unique_tokens": "Tokens of the whole run, each counted once: of a pass, or of the part of one that it makes.",
    "epochs": "Passes seen: `n_tokens` ÷ `pass_tokens`.",
    "trunk": "Checkpoints of the trunk that the cell could branch off from; null if it has none.",
    "branched_from": "`step`, `n_tokens` and `squared_lengths` at which it left its trunk: what it trained itself, and "
    "all times, are of what comes after; null if it was trained from its start.",
    "holdout": "`loss`, `perplexity`, each with `_low` and `_high` (95 % over sequences), `n_sequences`, "
    "`n_predicted`, `n_tokens`; null if it diverged.",
    "seconds": "Time in training steps, over all attempts.",
    "wall_seconds": "Time of all attempts, each from the start of its process.",
    "resumed_at_steps": "Steps from which the run was taken up again.",
    "attempts": "Every attempt: start, end, host, job, nodes, devices, steps, seconds, and why it ended.",
    "device_seconds": "Wall time of all attempts, each times its devices.",
    "discarded_checkpoints": "`step` and `reason` of checkpoints that were found damaged.",
    "failed_checkpoints": "`step` and `reason` of checkpoints that could not be written.",
    "spikes": "Steps between which the loss stood `training.health.spike_nats` above its minimum.",
    "allocation": "Of the last attempt: ranks (`world`), device, threads, accumulation, engine, ZeRO stage, compile.",
    "versions": "Python, commit, and the packages that results may depend on.",
}
"""Keys of run.json (`plmscale.training.trainer.Run`)."""

RUNS_MEANINGS = {
    "run": "`{model}/{subset}/{schedule}/seed{seed}`.",
    "model": "Size.",
    "subset": "Training set.",
    "schedule": "Learning-rate schedule.",
    "seed": "Training seed.",
    "status": "`done` or `diverged`.",
    "n_params": "N.",
    "unique_tokens": "Tokens of the whole run, each counted once.",
    "batch_tokens": "Tokens of an optimizer step.",
    "step": "Optimizer steps so far.",
    "n_tokens": "D so far.",
    "epochs": "Passes over the set so far.",
    "flops": "C so far, by `analysis.flops`.",
    "loss": "Nats per masked token.",
    "learning_rate": "Of the next step.",
    "lr_fraction": "The same ÷ lr0.",
    "trunk": "Runs with the same text have steps in common, and noise with them; empty: with no other run.",
}
"""Columns of results/analysis/runs.parquet (`plmscale.runs.collect.collect`)."""

STORE_FILES = {
    "tokens.npy": "uint8, shape (n_residues,): residues of all sequences in file order, no START or END.",
    "offsets.npy": "int64, shape (n_sequences + 1,): sequence i is `tokens[offsets[i]:offsets[i + 1]]`.",
    "keys.npy": "uint64, shape (n_sequences,): XXH64 of the record id, by which samples are drawn.",
    "ids.txt": "One record id a line.",
    "stats.json": "Counts and provenance, below; written last: without it there is no store.",
}
"""Files of the store (`plmscale.sequences.store.FILES`)."""

STATS_MEANINGS = {
    "format_version": "Of the store.",
    "source": "File name of the FASTA.",
    "source_bytes": "Its size.",
    "source_sha256": "Its checksum.",
    "n_sequences": "Sequences in the store.",
    "n_residues": "Residues in the store.",
    "mean_length": "Residues per sequence.",
    "median_length": "The same, median.",
    "min_length": "The same, smallest.",
    "max_length": "The same, largest.",
    "unigram_entropy": "Nats per residue: the loss of guessing by frequency alone.",
    "composition": "Residues by letter.",
    "n_records_read": "Records of the FASTA.",
    "lower_case_to_upper": "Residues made upper case.",
    "j_to_x": "J, which the alphabet lacks, made X.",
    "stars_removed": "Final `*` removed.",
    "crlf_lines": "Lines that ended with CRLF.",
    "blank_lines": "Empty lines.",
    "white_space_removed": "Blanks within sequences removed.",
    "empty_dropped": "Records without residues, dropped.",
    "empty_examples": "Some of their ids.",
    "repeated_dropped": "Records whose id had occurred before, dropped.",
    "repeated_examples": "Some of their ids.",
    "retrieval": "Record of the download: URL, release, checksums, date, tool; null for a path.",
}
"""Keys of stats.json (`plmscale.sequences.store.build_store`)."""

SUBSET_MEANINGS = {
    "name": "Set.",
    "kind": "`all`, `cluster`, `sample`, `passes` or `holdout`.",
    "min_identity": "Threshold of a `cluster`, a fraction; else null.",
    "seed": "Of a `sample` and of the holdout; else null.",
    "n_sequences": "Sequences.",
    "n_residues": "Residues before the cut to `max_length`.",
    "n_residues_cut": "Residues after it.",
    "n_tokens": "What training shows a model: residues after the cut, START and END; of `passes`, as often as asked "
    "for, up to one optimizer step.",
    "tokens_325_rule": "The paper's estimate, 325 × sequences.",
    "mean_length": "Residues per sequence, before the cut.",
    "max_length": "Longest input in positions.",
    "n_over_length": "Sequences that are cut.",
    "sha256": "Of the ids as little-endian int64.",
    "provenance": "How it came about: seed, flags and version of MMseqs2, largest identity that remains.",
}
"""Keys of results/subsets/{subset}.json (`plmscale.sets.subsets.describe`)."""

PASSES_MEANINGS = {
    "of": "Of `passes` alone: the set whose sequences these are; all counts but `n_tokens` are those of that set.",
    "epochs": "Passes over it.",
    "unique_tokens": "Tokens, each counted once.",
}
"""What a set of kind `passes` has besides (`plmscale.study.pass_rows.pass_counts`)."""

FIT_MEANINGS = {
    "name": "Fit.",
    "status": "The verdict.",
    "why": "What the verdict rests on: a `code` and the `values` that its words name; beside it `reason`, the same in "
    "one sentence. Fits of older versions have `reason` alone.",
    "estimates": "Constants, each with `value`, `low`, `high` (95 %); null where the runs do not give them.",
    "points": "Points used.",
    "excluded": "What was left out, each with its `reason` in words, its `code` and, where it has any, `values`.",
    "details": "Depends on the fit: `warnings`, `misfit`, `held_out`, `run_noise`, `optimal_sizes`, ….",
}
"""Fields of a fit (`plmscale.laws.fit.Fit`)."""

STATUS_MEANINGS = {
    "identified": "The runs determine the law.",
    "weakly_identified": "Numbers stand, with the caveat in `reason`.",
    "not_identified": "The runs do not determine the law: no number.",
    "failed": "There was nothing to fit.",
}
"""Verdicts (`plmscale.laws.fit.STATUSES`)."""

OWNER_MEANINGS = {
    "format_version": "Of this file.",
    "configfiles": "The configuration, as it was named; those of the workflow from its folder.",
    "settings": "Settings that were given with `--config` besides.",
    "study": "All settings (`config`), the rows of both tables (`models`, `subsets`), cells beyond the budget "
    "(`left_out`), published models (`published`).",
}
"""Keys of results/study.json (`plmscale.results.owner.claim`)."""

RESULT_FILES = {
    "study.json": "which study this is; commands of another one are refused",
    "store/": "the tokenised source",
    "subsets/{subset}.npy, .json": "a set: sorted ids into the store (int64), and its exact counts; one of kind "
    "`passes` has counts alone",
    "runs/{run}/cell.json": "what the result of the cell depends on",
    "runs/{run}/run.json": "record of a finished run",
    "runs/{run}/metrics.parquet": "its loss over tokens; `metrics.jsonl` while it trains",
    "runs/{run}/model.safetensors": "its weights, named as in fair-esm",
    "runs/{run}/checkpoints/": "while it trains, and after it diverged",
    "trunks/{model}/{subset}/seed{seed}/trunk.json": "record of what the `wsd` cells of a size, set and seed have in "
    "common: as `run.json`, and `until_passes`, how far it is good for; beside it `cell.json`, `until_passes.txt` and "
    "`metrics.parquet`",
    "trunks/{model}/{subset}/seed{seed}/checkpoints/": "where its branches leave it; may be deleted, `trunk.json` not",
    "analysis/runs.parquet": "all runs as one table, a row per evaluation",
    "analysis/curves.parquet": "the same, smoothed",
    "analysis/outcomes.json": "what came of every cell and trunk",
    "analysis/costs.json": "the plan with the tokens as counted, and planned against actual",
    "analysis/learning_rates.json": "sweeps of the learning rate, their rule, and sizes trained beside their best rate",
    "analysis/sensitivity.json": "exponents by every combination of choices",
    "analysis/set_worth.json": "what the tokens of a set are worth in those of another",
    "analysis/published_models.json": "the published models on the law with the best verdict",
    "fits/{fit}.json": "constants, intervals, verdicts, points",
    "tables/{table}.tsv, .md, .tex, .html": "tsv is the data",
    "tables/advice.tsv, .md": "cells that could be trained next, ranked: `snakemake advise`",
    "figures/{figure}.pdf, .svg, .png": "figures as wide as a page",
    "figures/column/": "the same as wide as a column of a journal",
    "plan/": "`plan.md`, `plan.svg`, `cells.tsv`, `summary.tsv`",
    "calibration/{model}.json": "what `snakemake calibrate` measured",
    "own_runs/": "the same for runs that somebody else trained",
    "logs/, benchmarks/": "log and resources of every job",
    "status/": "`status.html` and `status.tsv`: how far the study is",
    "report.html": "the answer on one page",
    "summary.txt": "the study in numbers",
}
"""What lies where under results/."""
