"""The deploy relay kit: `deploy_relay_kit.harness` and `deploy_relay_kit.relay`.

In a checkout both are links to the folders at its top; an installed kit has nothing else at the top
level of `site-packages`, so a project may have a `harness` or a `relay` of its own. This module
imports nothing: pytest loads it at every start where the kit is installed.
"""
