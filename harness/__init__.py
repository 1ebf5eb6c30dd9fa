"""Fake peers that witness every byte, and the machinery that judges any deploy relay by them.

`harness.cluster.FakeCluster` is the way in for tests; `relay-harness` is the way in for people.
"""
