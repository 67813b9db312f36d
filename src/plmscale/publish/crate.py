"""RO-Crate metadata of a published study: what each file is, who made it, by which program, under which licence."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from ..errors import InputError

ORCID = re.compile(r"(?:https://orcid\.org/)?((?:\d{4}-){3}\d{3}[\dX])")
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
METADATA = "ro-crate-metadata.json"

PAPER = "https://arxiv.org/abs/2406.07249"

MEDIA = {
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True)
class Description:
    """What nobody but its authors knows of a study.

    Attributes
    ----------
    title, summary : str
    licence : str
        SPDX identifier, or the URL of a licence.
    authors : tuple of str
        "Name" or "Name <ORCID>".
    published : date
    """

    title: str
    summary: str
    licence: str
    authors: tuple[str, ...]
    published: date

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise InputError("--title: the study has no title. Give one.")
        if not (self.licence.startswith(("https://", "http://")) or SPDX.fullmatch(self.licence)):
            raise InputError(
                f"--licence: {self.licence!r} is neither an SPDX identifier, such as CC-BY-4.0, nor a licence's URL."
            )
        if not self.authors:
            raise InputError("--author: nobody is named. Give one or more: --author 'Name <ORCID>'.")
        for author in self.authors:
            person(author)

    @property
    def licence_url(self) -> str:
        """Where the licence is to be read."""
        return self.licence if "://" in self.licence else f"https://spdx.org/licenses/{self.licence}"


def person(author: str) -> tuple[str, str]:
    """Identifier and name of an author.

    Raises
    ------
    InputError
        If what stands in `<…>` is no ORCID, or there is no name.

    Examples
    --------
    >>> person("Ada Lovelace <0000-0002-1825-0097>")
    ('https://orcid.org/0000-0002-1825-0097', 'Ada Lovelace')
    >>> person("Ada Lovelace")
    ('#ada-lovelace', 'Ada Lovelace')
    """
    name, _, rest = author.partition("<")
    name = name.strip()
    if not name:
        raise InputError(f"--author: {author!r} has no name. Write it so: 'Name <ORCID>'.")
    if not rest:
        return f"#{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-') or 'author'}", name
    found = ORCID.fullmatch(rest.strip().removesuffix(">").strip())
    if found is None or not _right(found[1]):
        raise InputError(f"--author: {author!r}: what stands in < > is no ORCID such as 0000-0002-1825-0097.")
    return f"https://orcid.org/{found[1]}", name


def _right(orcid: str) -> bool:
    """Whether the last digit checks the others (ISO 7064, MOD 11-2)."""
    total = 0
    for digit in orcid.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return orcid[-1] == ("X" if check == 10 else str(check))


def write_crate(folder: Path, *, kinds: Mapping[str, str], hashes: Mapping[str, str], about: Description) -> None:
    """Write ro-crate-metadata.json beside the files that it describes.

    Parameters
    ----------
    folder : Path
        The published folder.
    kinds : mapping
        What each file is, by its path below the folder.
    hashes : mapping
        SHA-256 by path.
    about : Description
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.person import Person
    from rocrate.rocrate import ROCrate

    crate = ROCrate()
    crate.name, crate.description = about.title, about.summary
    crate.datePublished = about.published.isoformat()  # pyright: ignore[reportAttributeAccessIssue]
    licence = ContextEntity(crate, about.licence_url, {"@type": "CreativeWork", "name": about.licence})
    crate.license = crate.add(licence)
    people = [crate.add(Person(crate, *_named(author))) for author in about.authors]
    crate.creator = people
    crate.root_dataset["author"] = people
    files = [
        crate.add_file(
            str(folder / path),
            dest_path=path,
            properties={
                "name": f"{kind}: {path.removeprefix('results/')}",
                "encodingFormat": MEDIA.get(Path(path).suffix, "application/octet-stream"),
                "contentSize": str((folder / path).stat().st_size),
                "sha256": hashes[path],
            },
        )
        for path, kind in kinds.items()
    ]
    crate.add(ContextEntity(crate, "#made", _action(crate, files, kinds)))
    crate.metadata.write(str(folder))


def _named(author: str) -> tuple[str, dict[str, Any]]:
    identifier, name = person(author)
    return identifier, {"name": name}


def _address() -> str:
    """Where plmscale is to be found: the repository that its metadata name, else the paper that it implements."""
    urls = dict(one.split(", ", 1) for one in metadata("plmscale").get_all("Project-URL") or ())
    return urls.get("Repository", PAPER)


def _action(crate: Any, files: Sequence[Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """What made the files: plmscale, from the configuration."""
    from rocrate.model.softwareapplication import SoftwareApplication

    from .. import __version__

    program = SoftwareApplication(crate, "#plmscale", {"name": "plmscale", "version": __version__, "url": _address()})
    by_path = dict(zip(kinds, files, strict=True))
    return {
        "@type": "CreateAction",
        "name": "The study, run by plmscale",
        "instrument": crate.add(program),
        "object": [one for path, one in by_path.items() if kinds[path] == "configuration"],
        "result": [one for path, one in by_path.items() if path.startswith("results/")],
    }
