"""What a peer saw: connections, requests, uploads, mints, each with its timeline.

`wire/` holds the strict reader that finds every broken rule of the wire format. This room imports
`harness.errors` and itself only. Begin with `requests.py`: a test reads its `UploadWitness`.
"""
