"""One set of module objects in a checkout, where `harness/` and `relay/` are importable, too.

A class of `harness.faults` that is not the class of `deploy_relay_kit.harness.faults` would be
refused as a stranger. So the short names of a checkout lead to the modules with the long names.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Alias(MetaPathFinder, Loader):
    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        is_alias = fullname.startswith(f"{self._name}.") and not fullname.endswith(".__main__")
        return ModuleSpec(fullname, self) if is_alias else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(f"{__package__}.{spec.name}")
        spec.loader_state = module.__spec__  # importlib is about to replace it
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            module.__spec__ = spec.loader_state


def alias(name: str) -> None:
    """Make `name` and its submodules the modules of this package with the same name.

    Raises:
        ImportError: this package has no such module.
    """
    sys.modules[name] = import_module(f"{__package__}.{name}")
    sys.meta_path.insert(0, _Alias(name))
