"""Scratch folders of MMseqs2: of one user and one study."""

import os

import pytest

from plmscale.errors import InputError
from plmscale.sets.scratch import OF, scratch_folder


def left_by_a_failure(below, study, name="c40"):
    """A scratch folder with a file in it, as a job that was killed leaves it."""
    with pytest.raises(ZeroDivisionError), scratch_folder(below, study=study, name=name) as work:
        (work / "half").write_text("x")
        raise ZeroDivisionError
    return work


def test_it_goes_on_after_a_failure_and_goes_when_it_is_done(tmp_path):
    work = left_by_a_failure(tmp_path / "s", tmp_path / "a")
    assert work.stat().st_mode & 0o777 == work.parent.stat().st_mode & 0o777 == 0o700
    with scratch_folder(tmp_path / "s", study=tmp_path / "a", name="c40") as again:
        assert (again / "half").read_text() == "x"
    assert not work.exists()


def test_studies_with_sets_of_one_name_leave_each_other_alone(tmp_path):
    one = left_by_a_failure(tmp_path / "s", tmp_path / "a")
    with scratch_folder(tmp_path / "s", study=tmp_path / "b", name="c40") as other:
        assert other != one and not list(other.iterdir())
    assert (one / "half").read_text() == "x"


def test_what_somebody_prepared_is_neither_used_nor_removed(tmp_path):
    below, study = tmp_path / "s", tmp_path / "a"
    (below / "c40").mkdir(parents=True)  # by the name of the set, as earlier versions made it
    (below / "c40" / "clusters.done").touch()
    with scratch_folder(below, study=study, name="c40") as work:
        assert not list(work.iterdir())
    assert (below / "c40" / "clusters.done").exists()


def prepare_link(own, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    own.symlink_to(tmp_path / "elsewhere")


def prepare_open(own, tmp_path):
    own.mkdir()
    own.chmod(0o777)


def prepare_other(own, tmp_path):
    own.mkdir(mode=0o700)
    (own / "c40").mkdir()
    (own / "c40" / "clusters.done").touch()


def prepare_note(own, tmp_path):
    own.mkdir(mode=0o700)
    (own / OF).write_text("/another/study")


def prepare_file(own, tmp_path):
    own.write_text("a file")


PREPARED = [
    (prepare_link, "a link, or no folder"),
    (prepare_file, "a link, or no folder"),
    (prepare_open, "others may write to it"),
    (prepare_other, "it is not of"),
    (prepare_note, "it is not of"),
]


@pytest.mark.parametrize(("prepare", "why"), PREPARED)
def test_a_folder_of_that_name_that_is_not_this_studys_is_refused(tmp_path, prepare, why):
    own = left_by_a_failure(tmp_path / "first", tmp_path / "a").parent
    below = tmp_path / "s"
    below.mkdir()
    prepare(below / own.name, tmp_path)
    with (
        pytest.raises(InputError, match=why),
        scratch_folder(below, study=tmp_path / "a", name="c40"),
    ):
        raise AssertionError("it was used")
    assert os.path.lexists(below / own.name)
    assert not (tmp_path / "elsewhere").exists() or not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can give folders to others")
def test_a_folder_of_another_user_is_refused(tmp_path):
    own = left_by_a_failure(tmp_path / "s", tmp_path / "a").parent
    os.chown(own, 12345, 12345)
    with (
        pytest.raises(InputError, match="belongs to the user 12345"),
        scratch_folder(tmp_path / "s", study=tmp_path / "a", name="c40"),
    ):
        raise AssertionError("it was used")
