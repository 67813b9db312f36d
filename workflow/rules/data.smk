# Proteins: FASTA → token store → holdout → training sets.
#   in   cfg.source                     FASTA, plain or compressed; a URL is downloaded
#   out  results/store/                 every protein once, as tokens
#        results/subsets/holdout.npy    what no model trains on
#        results/subsets/{subset}.npy   ids into the store, one file a training set


rule retrieve:
    """Resumes what an interruption left; a wrong checksum leaves nothing."""
    output:
        fasta="resources/download/{file}",
    log:
        "results/logs/retrieve/{file}.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        url=cfg.source,
        md5=cfg.source_md5 or "",
    message:
        "Downloading {params.url}"
    shell:
        """
        exec >{log:q} 2>&1
        part={output.fasta:q}.part
        curl --fail --location --retry 5 --continue-at - --output "$part" {params.url:q}
        if [ -n {params.md5:q} ]; then
            echo {params.md5:q}"  $part" | md5sum --check --strict || {{ rm "$part"; exit 1; }}
        fi
        mv "$part" {output.fasta:q}
        """


rule store:
    input:
        source=source,
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
    threads: 16
    resources:
        mem_mb=64000,
        runtime=720,
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
    conda:
        "../../envs/plmscale.yaml"
    threads: clustering_or(16, otherwise=1)
    resources:
        mem_mb=clustering_or(256000, otherwise=8000),
        runtime=clustering_or(2880, otherwise=60),
    params:
        subset=subset_science,
        clustering=clustering_or(cfg.clustering.model_dump(mode="json"), otherwise=None),
        max_length=cfg.max_length,
        seed=cfg.data_seed,
    message:
        "Choosing the sequences of {wildcards.subset}"
    script:
        "../scripts/subset.py"
