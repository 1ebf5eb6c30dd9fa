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
    """What to do where an extra is missing; with the checkout or wheel that was installed."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    kit, option = "deploy-relay-kit", ""
    try:
        source = json.loads(distribution(kit).read_text("direct_url.json") or "{}")  # PEP 610
    except PackageNotFoundError:  # such as a checkout on PYTHONPATH
        source = {}
    if (url := urlsplit(source.get("url", ""))).scheme == "file":
        kit = unquote(url.path)
        option = "-e " if source.get("dir_info", {}).get("editable") else ""
    return f'install the extra: pip install {option}"{kit}[{extra}]"'
