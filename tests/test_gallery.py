"""The map and the gallery: drawn from the rules and from the analysis, and as they are stored."""

import pytest

import forked
import gallery
import workflow_map
from conftest import ROOT
from scaling_data import TRUTH


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return workflow_map.rule_graph(tmp_path_factory.mktemp("empty"), run=forked.run)


def test_the_map_of_the_workflow_is_that_of_its_rules(graph):
    """After a change of a rule: python docs/generators/workflow_map.py."""
    assert (ROOT / workflow_map.MAP).read_text(encoding="utf-8") == workflow_map.drawn(graph)
    assert {("store", "subset"), ("train", "collect_runs"), ("findings", "tables")} <= set(graph)


def test_an_edge_that_others_stand_for_is_left_out():
    order = {"a": 0, "b": 1, "c": 2}
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")]
    assert workflow_map.without_detours(edges, order) == [("a", "b"), ("b", "c"), ("c", "a")]


def test_the_gallery_is_the_page_of_its_sentences():
    """After a change: python docs/generators/gallery.py."""
    text = (ROOT / gallery.PAGE).read_text(encoding="utf-8")
    said = gallery.sentences_of(text)
    assert list(said) == [entry.name for entry in gallery.ENTRIES]
    assert gallery.page(said) == text
    stored = {path.stem for path in (ROOT / gallery.FIGURES).iterdir()}
    assert stored == {entry.name for entry in gallery.ENTRIES if entry.ships}
    assert set(gallery.targets()) <= set(said), "every data set of plmscale reproduce"


@pytest.mark.parametrize("entry", gallery.ENTRIES, ids=lambda entry: entry.name)
def test_sentences_of_the_gallery_are_those_of_the_analysis(entry):
    if entry.table is not None and not gallery.where(entry, TRUTH).exists():
        pytest.skip(f"{entry.table} of the published data is not at ../shared/truth")
    laws = None if entry.table is None else gallery.laws_of(entry, TRUTH)
    said = gallery.sentences_of((ROOT / gallery.PAGE).read_text(encoding="utf-8"))
    assert said[entry.name] == gallery.sentence(entry, laws)
