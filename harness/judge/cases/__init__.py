"""What a conformance case uses, and what is looked at after each.

It may import every room below the judge, and of the judge the catalogue and the model. Begin with
`checks.py` (how a case looks at a requirement) and `relay.py` (how it deploys).
"""
