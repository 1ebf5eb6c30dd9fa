"""The judge of relays: what is demanded, what a case looked at, what a run says of it.

It may import every room but `cli`; of `tests/conformance/` it knows only the path. Begin with
`model.py` (verdicts, checks, cases, the result), then `plugin.py`, which judges a case at its end;
`cases/` is what cases use, `forms/` what those of origins use, `report/` makes documents of a
result.
"""
