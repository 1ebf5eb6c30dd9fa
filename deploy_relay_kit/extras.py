"""Which extra of the kit brings which package."""

# A test compares the extras with what each command needs.
EXTRA_OF = {
    "aiohttp": "relay",
    "pathspec": "relay",
    "rich": "relay",
    "yarl": "relay",
    "jwt": "node",
    "jinja2": "judge",
    "multidict": "judge",
    "psutil": "judge",
    "xdist": "judge",
}


def remedy(extra: str) -> str:
    """What to do where an extra is missing."""
    return f'install the extra: pip install "deploy-relay-kit[{extra}]"'
