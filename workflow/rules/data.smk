# Proteins: FASTA → token store → holdout → training sets.
#   in   cfg.source                     FASTA, plain or compressed; a URL is downloaded
#   out  results/store/                 every protein once, as tokens
#        results/subsets/holdout.npy    what no model trains on
#        results/subsets/{subset}.npy   ids into the store, one file a training set


rule retrieve:
    """Goes on with what an interruption left; what is not as published is an error."""
    output:
        fasta="resources/download/{file}",
        record="resources/download/{file}.retrieval.json",
    log:
        "results/logs/retrieve/{file}.log",
    wildcard_constraints:
        file=r"[^/]+(?<!\.retrieval\.json)",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        url=cfg.source,
        metalink=cfg.source_metalink,
        release=cfg.source_release,
        md5=cfg.source_md5,
    message:
        "Downloading {params.url}"
    script:
        "../scripts/retrieve.py"


rule store:
    input:
        source=source,
        retrieval=retrieval,
    output:
        tokens="results/store/tokens.npy",
        offsets="results/store/offsets.npy",
        hashes="results/store/keys.npy",
        ids="results/store/ids.txt",
        stats="results/store/stats.json",
    log:
        "results/logs/store.log",
    benchmark:
        "results/benchmarks/store.tsv"
    conda:
        "../../envs/plmscale.yaml"
    message:
        "Tokenising {input.source}"
    script:
        "../scripts/store.py"


rule holdout_candidates:
    """Drawn before any training set, and left out of all of them."""
    input:
        store=rules.store.output,
    output:
        ids="results/subsets/candidates.npy",
    log:
        "results/logs/holdout_candidates.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        n_sequences=cfg.holdout.n_sequences,
        seed=cfg.data_seed,
    script:
        "../scripts/holdout_candidates.py"


rule holdout:
    """The candidates that are not close to any training sequence."""
    input:
        store=rules.store.output,
        candidates=rules.holdout_candidates.output.ids,
    output:
        ids="results/subsets/holdout.npy",
        counts="results/subsets/holdout.json",
    log:
        "results/logs/holdout.log",
    benchmark:
        "results/benchmarks/holdout.tsv"
    conda:
        "../../envs/plmscale.yaml"
    threads: cfg.clustering.threads
    resources:
        mem_mb=search_memory,
        runtime=720,
        mmseqs_memory=cfg.clustering.memory_limit or "",
        mmseqs_scratch=cfg.clustering.scratch or "",
    params:
        settings=cfg.holdout.model_dump(mode="json"),
        max_length=cfg.max_length,
    script:
        "../scripts/holdout.py"


rule subset:
    """A training set: all sequences, MMseqs2 representatives, or a random sample."""
    input:
        store=rules.store.output,
        candidates=rules.holdout_candidates.output.ids,
        same_size_as=same_size_as,
    output:
        ids="results/subsets/{subset}.npy",
        counts="results/subsets/{subset}.json",
    log:
        "results/logs/subset/{subset}.log",
    benchmark:
        "results/benchmarks/subset/{subset}.tsv"
    wildcard_constraints:
        subset=one_of(name for name, subset in SUBSETS.items() if subset.of is None),
    conda:
        "../../envs/plmscale.yaml"
    threads: clustering_or(cfg.clustering.threads, otherwise=1)
    resources:
        mem_mb=set_memory,
        runtime=clustering_or(2880, otherwise=60),
        mmseqs_memory=cfg.clustering.memory_limit or "",
        mmseqs_scratch=cfg.clustering.scratch or "",
    params:
        subset=subset_science,
        clustering=clustering_or(cfg.clustering.science(), otherwise=None),
        max_length=cfg.max_length,
        seed=cfg.data_seed,
    message:
        "Choosing the sequences of {wildcards.subset}"
    script:
        "../scripts/subset.py"


rule passes:
    """Counts of a set that is another one, gone over more or less than once: there is no copy of it."""
    input:
        of=passed_over,
    output:
        counts="results/subsets/{subset}.json",
    log:
        "results/logs/passes/{subset}.log",
    wildcard_constraints:
        subset=one_of(name for name, subset in SUBSETS.items() if subset.of is not None),
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        subset=passes_over,
    script:
        "../scripts/passes.py"
