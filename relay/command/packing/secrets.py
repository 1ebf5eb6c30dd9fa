"""Pure: names and contents that tell that a file of a package may hold secrets."""

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

FIRST_BYTES = 65_536  # of a file, in which a private key is looked for
_PRIVATE_KEY = re.compile(rb"^-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----", re.MULTILINE)
_DIRECTORIES = {".git", ".hg", ".svn", ".ssh", ".aws", ".gnupg", ".kube", ".azure", ".docker"}
_FILES = (
    *(".env", ".env.*", "*.env", ".npmrc", ".netrc", "_netrc", ".pgpass", ".htpasswd", ".pypirc"),
    *(".git-credentials", "credentials", "credentials.json", "secrets.json", "secrets.y*ml"),
    *("service-account*.json", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    *("*.p12", "*.pfx", "*.jks", "*.keystore"),
)
_SAMPLES = ("*.example", "*.sample", "*.template", "*.dist")


def sensitive(name: str, first_bytes: bytes = b"", *, is_directory: bool = False) -> str:
    """What of a path below the root may be secret, as its path; empty if nothing.

    Dependencies in `node_modules` are public, so their files do not count.
    """
    path = PurePosixPath(name)
    if "node_modules" in path.parts:
        return ""
    if is_directory:
        return f"{name}/" if path.name in _DIRECTORIES else ""
    if _DIRECTORIES & set(path.parts[:-1]):  # its directory is named already
        return ""
    is_sample = any(fnmatchcase(path.name, glob) for glob in _SAMPLES)
    if not is_sample and any(fnmatchcase(path.name, glob) for glob in _FILES):
        return name
    return f"{name} (a private key)" if _PRIVATE_KEY.search(first_bytes[:FIRST_BYTES]) else ""
