# SPDX-License-Identifier: MIT
"""Files of published packages, for tests on models that people have: downloaded once, checked, kept.

    import packages
    path = packages.file("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors")

They are kept in $XDG_CACHE_HOME/lstmrun/models (default: ~/.cache/lstmrun/models). Nothing of a package
is installed or run: its archive is downloaded with pip, and single files are taken out of it. Where that
fails, Missing is raised; `skip_without` ends a suite loudly and run.py counts it as skipped.

    python3 tests/frameworks/packages.py PACKAGE==VERSION [FILE]      lists the files, or prints a file's path
"""
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile

SKIPPED = 77
MOST_BYTES = 1 << 30  # of one file taken out of an archive

# What the tests rely on: the archive's sha256, so that a test means the same everywhere. A package that is
# not listed can be used all the same.
DIGESTS = {
    "resemblyzer==0.1.4": "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
    "g2p-en==2.1.0": "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f",
    "g2pm==0.1.2.5": "9e920b82df4002f96d8679720c7a858d10816d438dbd61b8b6b621a80a976361",
    "textgenrnn==2.0.0": "c2b6f1c201c76d5a6021079e95a8db499bbe15d9f3448d33cb51c0cd496c86f8",
    "silero-vad==6.2.3": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
}


class Missing(Exception):
    """The package or the file in it cannot be had; says why."""


def folder():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "lstmrun", "models")


def _place(requirement):
    name, found, version = requirement.partition("==")
    if not found or not version or any(part != os.path.basename(part) for part in (name, version)):
        raise ValueError("%r: expected NAME==VERSION" % requirement)
    return os.path.join(folder(), "%s-%s" % (name.lower(), version))


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _download(requirement, target):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--dest", target, requirement]
    # A wheel needs no building; a source archive is taken as it is where pip can.
    for form in (["--only-binary", ":all:"], ["--no-binary", ":all:", "--no-build-isolation"]):
        try:
            done = subprocess.run(command + form, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise Missing("%s: pip download took more than 5 minutes" % requirement) from None
        names = sorted(os.listdir(target))
        if names:
            return os.path.join(target, names[0])
    last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
    raise Missing("%s: %s" % (requirement, last))


def _download_twice(requirement, target):
    """Networks have bad moments."""
    try:
        return _download(requirement, target)
    except Missing:
        time.sleep(10)
        return _download(requirement, target)


def archive(requirement):
    """Path of the package's wheel or source archive, downloaded if it is not there yet."""
    place = _place(requirement)
    if os.path.isdir(place):
        names = [name for name in sorted(os.listdir(place)) if name.endswith((".whl", ".zip", ".tar.gz"))]
        if names:
            return os.path.join(place, names[0])
    try:
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder()) as target:
            path = _download_twice(requirement, target)
            expected = DIGESTS.get(requirement.lower())
            if expected and _digest(path) != expected:
                raise Missing("%s: %s is not the archive that the tests know: its sha256 is %s" %
                              (requirement, os.path.basename(path), _digest(path)))
            final = os.path.join(place, os.path.basename(path))
            os.replace(path, final)
            return final
    except OSError as problem:
        raise Missing("%s: %s" % (requirement, problem)) from None


def _open(path):
    return zipfile.ZipFile(path) if not path.endswith(".tar.gz") else tarfile.open(path)


def names(requirement):
    """Names of all files in the package's archive; in a source archive below its first folder."""
    path = archive(requirement)
    with _open(path) as opened:
        if isinstance(opened, zipfile.ZipFile):
            return sorted(name for name in opened.namelist() if not name.endswith("/"))
        return sorted(member.name.partition("/")[2] for member in opened.getmembers() if member.isfile())


def _contents(path, name):
    with _open(path) as opened:
        if isinstance(opened, zipfile.ZipFile):
            if opened.getinfo(name).file_size > MOST_BYTES:
                raise KeyError(name)
            return opened.read(name)
        for member in opened.getmembers():
            if member.isfile() and member.name.partition("/")[2] == name and member.size <= MOST_BYTES:
                return opened.extractfile(member).read()
        raise KeyError(name)


def file(requirement, name):
    """Path of the file `name` (as in names()) of the package, taken out of its archive."""
    target = os.path.join(_place(requirement), "files", *name.split("/"))
    if ".." in name.split("/"):
        raise ValueError("%r: leaves the package" % name)
    if os.path.exists(target):
        return target
    path = archive(requirement)
    try:
        contents = _contents(path, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(target), delete=False) as part:
            part.write(contents)
        os.replace(part.name, target)
    except KeyError:
        raise Missing("%s: has no file %s" % (requirement, name)) from None
    except OSError as problem:
        raise Missing("%s: %s" % (requirement, problem)) from None
    return target


def skip_without(requirement, name):
    """file(), or the end of the program as a skipped suite."""
    try:
        return file(requirement, name)
    except Missing as missing:
        print("skipped: %s (needs the package index once; see tests/frameworks/packages.py)" % missing)
        sys.exit(SKIPPED)


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print("\n".join(names(sys.argv[1])) if len(sys.argv) == 2 else file(*sys.argv[1:]))
    except (Missing, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
