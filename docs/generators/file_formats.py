"""What the files of a study contain, in words, for the reference of file formats (`docs_pages`).

Tests compare the names here with files that the code writes.
"""

METRICS_MEANINGS = {
    "step": "Optimizer steps completed.",
    "n_tokens": "Tokens seen since the start, with START and END, without padding.",
    "squared_lengths": "Σ length² of the sequences seen since the start; with `n_tokens`, it gives the FLOPs by any "
    "convention.",
    "loss": "Mean over the positions predicted since the previous row, in nats per masked token.",
    "n_predicted": "Positions predicted since the previous row.",
    "learning_rate": "Learning rate of the next step.",
    "lr_fraction": "Learning rate ÷ lr0.",
}
"""Columns of metrics.parquet; types are in `plmscale.training.monitor.METRICS`."""

RECORD_MEANINGS = {
    "cell": "The `cell.json` that was trained: everything that the result depends on.",
    "status": "`done` or `diverged`.",
    "stopped": "`plateau` if `training.stop` ended the run; otherwise null.",
    "reason": "Why the run diverged, or at which token it was stopped and why; otherwise null.",
    "n_params": "N by appendix F of the paper.",
    "n_steps": "Optimizer steps.",
    "n_tokens": "Tokens seen.",
    "squared_lengths": "Σ length² of the sequences seen.",
    "pass_tokens": "Tokens of one pass over the set; in records of older versions, `unique_tokens`.",
    "unique_tokens": "Tokens of the whole run, each counted once: those of a pass, or of the part of a pass that the "
    "run makes.",
    "epochs": "Number of passes: `n_tokens` ÷ `pass_tokens`.",
    "trunk": "Checkpoints of the trunk from which the cell could branch off; null if it has no trunk.",
    "branched_from": "`step`, `n_tokens` and `squared_lengths` at which the run left its trunk; all times refer to the "
    "part after it. null: trained from the start.",
    "holdout": "`loss`, `perplexity`, each with `_low` and `_high` (95 % over sequences), `n_sequences`, "
    "`n_predicted`, `n_tokens`; null if it diverged.",
    "seconds": "Seconds in training steps, over all attempts.",
    "wall_seconds": "Seconds of all attempts, each from the start of its process.",
    "resumed_at_steps": "Steps from which the run was resumed.",
    "attempts": "List of all attempts: start, end, host, job, nodes, devices, steps, seconds, and why it ended.",
    "device_seconds": "Sum over all attempts of wall time × devices, in seconds.",
    "discarded_checkpoints": "`step` and `reason` of checkpoints that were found damaged.",
    "failed_checkpoints": "`step` and `reason` of checkpoints that could not be written.",
    "spikes": "Steps between which the loss was at least `training.health.spike_nats` above its minimum.",
    "allocation": "Settings of the last attempt: ranks (`world`), device, threads, accumulation, engine, ZeRO stage, "
    "compile.",
    "versions": "Versions of Python and of the packages that results may depend on, and the commit.",
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
    "batch_tokens": "Tokens of one optimizer step.",
    "step": "Optimizer steps so far.",
    "n_tokens": "D so far.",
    "epochs": "Passes over the set so far.",
    "flops": "C so far, by `analysis.flops`.",
    "loss": "Loss in nats per masked token.",
    "learning_rate": "Learning rate of the next step.",
    "lr_fraction": "Learning rate ÷ lr0.",
    "trunk": "Runs with the same text share steps and therefore noise. If empty, the run is independent.",
}
"""Columns of results/analysis/runs.parquet (`plmscale.runs.collect.collect`)."""

STORE_FILES = {
    "tokens.npy": "uint8, shape (n_residues,): residues of all sequences in file order, without START and END.",
    "offsets.npy": "int64, shape (n_sequences + 1,): sequence i is `tokens[offsets[i]:offsets[i + 1]]`.",
    "keys.npy": "uint64, shape (n_sequences,): XXH64 of the record id, by which samples are drawn.",
    "ids.txt": "One record id per line.",
    "stats.json": "Counts and provenance, see below; written last, so a store without it is incomplete.",
}
"""Files of the store (`plmscale.sequences.store.FILES`)."""

STATS_MEANINGS = {
    "format_version": "Version of the format of the store.",
    "source": "File name of the FASTA.",
    "source_bytes": "Size of the FASTA in bytes.",
    "source_sha256": "SHA-256 of the FASTA.",
    "n_sequences": "Sequences in the store.",
    "n_residues": "Residues in the store.",
    "mean_length": "Mean number of residues per sequence.",
    "median_length": "Median number of residues per sequence.",
    "min_length": "Residues of the shortest sequence.",
    "max_length": "Residues of the longest sequence.",
    "unigram_entropy": "Nats per residue: the loss of a model that knows only the frequencies of the residues.",
    "composition": "Number of residues of each letter.",
    "n_records_read": "Records of the FASTA.",
    "lower_case_to_upper": "Residues converted to upper case.",
    "j_to_x": "Residues J, which the alphabet lacks, converted to X.",
    "stars_removed": "Final `*` removed.",
    "crlf_lines": "Lines that ended with CRLF.",
    "blank_lines": "Empty lines.",
    "white_space_removed": "Blanks within sequences removed.",
    "empty_dropped": "Records without residues, dropped.",
    "empty_examples": "Some ids of these records.",
    "repeated_dropped": "Records with an id that had occurred before, dropped.",
    "repeated_examples": "Some ids of these records.",
    "retrieval": "Record of the download: URL, release, checksums, date, tool; null if the source is a path.",
}
"""Keys of stats.json (`plmscale.sequences.store.build_store`)."""

SUBSET_MEANINGS = {
    "name": "Name of the set.",
    "kind": "`all`, `cluster`, `sample`, `passes` or `holdout`.",
    "min_identity": "Identity threshold of a `cluster`, a fraction; otherwise null.",
    "seed": "Seed of a `sample` or of the holdout; otherwise null.",
    "n_sequences": "Number of sequences.",
    "n_residues": "Residues before the cut to `max_length`.",
    "n_residues_cut": "Residues after the cut.",
    "n_tokens": "Tokens that training uses: residues after the cut, START and END; for `passes`, multiplied by the "
    "number of passes, exact to one optimizer step.",
    "tokens_325_rule": "The paper's estimate, 325 × sequences.",
    "mean_length": "Mean number of residues per sequence, before the cut.",
    "max_length": "Longest input in positions.",
    "n_over_length": "Number of sequences that are cut.",
    "sha256": "SHA-256 of the ids as little-endian int64.",
    "provenance": "Origin of the set: seed, options and version of MMseqs2, largest identity that remains.",
}
"""Keys of results/subsets/{subset}.json (`plmscale.sets.subsets.describe`)."""

PASSES_MEANINGS = {
    "of": "Only for `passes`: the set whose sequences are used; all counts except `n_tokens` are those of that set.",
    "epochs": "Number of passes over it.",
    "unique_tokens": "Tokens, each counted once.",
}
"""What a set of kind `passes` has besides (`plmscale.study.pass_rows.pass_counts`)."""

FIT_MEANINGS = {
    "name": "Name of the fit.",
    "status": "Verdict, see below.",
    "why": "Reason for the verdict: a `code`, and the `values` that its words name. Beside it `reason`, the same in "
    "one sentence. Fits of older versions have only `reason`.",
    "estimates": "Constants, each with `value`, `low`, `high` (95 % interval); null where the runs do not determine "
    "them.",
    "points": "Points that the fit used.",
    "excluded": "Runs and points that the fit did not use, each with its `reason` in words, its `code` and, if any, "
    "`values`.",
    "details": "Further results, which depend on the fit: `warnings`, `misfit`, `held_out`, `run_noise`, "
    "`optimal_sizes`, ….",
    "caveats": "What is said beside the numbers wherever they are shown, each a `code` with `values`. Beside it "
    "`caveat`, the same in words.",
}
"""Fields of a fit (`plmscale.laws.fit.Fit`)."""

STATUS_MEANINGS = {
    "identified": "The runs determine the law.",
    "weakly_identified": "The runs determine the law, with the caveat in `reason`.",
    "not_identified": "The runs do not determine the law; there are no numbers.",
    "failed": "There was nothing to fit, or a fault of plmscale ended the fit; `reason` says which.",
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
    "subsets/{subset}.npy, .json": "a set: sorted ids of the store (int64), and exact counts; a set of kind "
    "`passes` has only the counts",
    "runs/{run}/cell.json": "everything that the result of the cell depends on",
    "runs/{run}/run.json": "record of a finished run",
    "runs/{run}/metrics.parquet": "loss over tokens; `metrics.jsonl` during training",
    "runs/{run}/model.safetensors": "weights, named as in fair-esm",
    "runs/{run}/checkpoints/": "checkpoints; kept during training, and after a divergence",
    "trunks/{model}/{subset}/seed{seed}/trunk.json": "record of a trunk: the keys of `run.json`, and `until_passes`, "
    "the number of passes for which it is long enough; beside it `cell.json`, `until_passes.txt` and `metrics.parquet`",
    "trunks/{model}/{subset}/seed{seed}/checkpoints/": "checkpoints where branches leave the trunk; you may delete "
    "them, but not `trunk.json`",
    "analysis/runs.parquet": "all runs in one table, one row per evaluation",
    "analysis/curves.parquet": "the same curves, smoothed",
    "analysis/outcomes.json": "what came of every cell and trunk, and the versions that trained them",
    "analysis/costs.json": "the plan with the tokens as counted, and planned against actual",
    "analysis/learning_rates.json": "sweeps of the learning rate, their rule, and sizes trained beside their best rate",
    "analysis/sensitivity.json": "exponents by every combination of choices",
    "analysis/set_worth.json": "what the tokens of a set are worth in those of another",
    "analysis/published_models.json": "the published models on the law with the best verdict",
    "analysis/paper.json": "what the paper prints, its procedures on these runs, and our rules",
    "fits/{fit}.json": "constants, intervals, verdicts, points",
    "tables/{table}.tsv, .md, .tex, .html": "tables; `tsv` is the data",
    "tables/advice.tsv, .md": "cells to train next, ranked: `plmscale run advise`",
    "figures/{figure}.pdf, .svg, .png": "figures in the width of a page; `csv` beside them is what they draw",
    "figures/column/": "the same in the width of a column",
    "plan/": "plan: `report.html`, `plan.md`, `plan.svg`, `cells.tsv`, `summary.tsv`",
    "calibration/{model}.json": "speeds that `plmscale calibrate` measured",
    "bracket/": "`bracket.txt` and `bracket.json`, the verdict of `plmscale run bracket`; its runs, each as in `runs/`",
    "own_runs/": "`report.html`, fits, tables and figures of runs that somebody else trained",
    "logs/, benchmarks/": "log, time and memory of every job. For cells that `plmscale run` trains on local CPUs, "
    "`benchmarks/` has the time of the training (`s`, `h:m:s`), but memory, I/O and CPU load of a process that waits "
    "for it: one server forks all of these jobs",
    "status/": "`status.html` and `status.tsv`: progress of the study",
    "report.html": "report: the answer on one page",
    "summary.txt": "summary of the study in numbers",
}
"""Files under results/ and what they contain."""
