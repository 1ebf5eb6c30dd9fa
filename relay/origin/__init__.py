"""One small real node: receive a deploy, stage it, deploy it here, fan it out, answer.

`relay serve --config node.toml` runs it. Begin with `deploy.py`, one deploy from its fields to its
answer. Each module imports only modules that stand after it, and modules of `relay`:

    server             aiohttp: requests in, answers out
    listening          connections, and their limits
    operations         who may do what
    socket             the replication socket: operations of other nodes
    deploy             one deploy: receive, unpack, swap, fan out, answer; and the way back
    restarting         restarts, and their jobs
    home               what these share, and whose turn it is
    record/            its events, who follows them, and its row
    wire/              a form as it arrives, its fields
    local/             archives, builds and their swap, commands
    others             the other nodes, and how they are reached
    access             passwords and tokens
    config             the configuration
    answers            what the node answers: a refusal, the result of a deploy, an event
"""
