"""Which device makes the features: this processor, unless another is asked for and there."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from beepwatch.errors import ConfigurationError
from beepwatch.train.featuring.provenance import PROCESSOR
from beepwatch.train.featuring.recipe import FeatureRecipe

if TYPE_CHECKING:
    import torch

    from beepwatch.train.featuring.batching import Batches

# The last is the processor by way of torch, which is of no use but to tests where there is no GPU.
_NAMES = re.compile(r"cpu|cuda(:\d{1,2})?|torch:cpu")


@contextmanager
def opened(
    wanted: str, recipe: FeatureRecipe, say: Callable[[str], None]
) -> Iterator[tuple["Batches | None", str]]:
    """The device and its name; without any where it is the processor, or has to be.

    Raises ConfigurationError for what is no device.
    """
    if not _NAMES.fullmatch(wanted):
        raise ConfigurationError(f"--device is {wanted!r}; give cpu, cuda, or cuda:1 for another.")
    if wanted == PROCESSOR:
        yield None, PROCESSOR
        return
    found, reason = _found(wanted, recipe)
    if found is None:
        say(f"--device {wanted} is not used, the processor is: {reason}.")
        yield None, PROCESSOR
        return
    batches, name = found
    try:
        yield batches, name
    finally:
        batches.close()


def _found(wanted: str, recipe: FeatureRecipe) -> tuple[tuple["Batches", str] | None, str]:
    """The device and its name, or why there is none."""
    try:
        import torch

        from beepwatch.train.featuring.batching import Batches, DeviceError
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed; pip install 'beepwatch[train]'"
    device = torch.device("cuda:0" if wanted == "cuda" else wanted.removeprefix("torch:"))
    if device.type == "cuda" and device.index >= torch.cuda.device_count():
        many = torch.cuda.device_count()
        return None, f"torch {torch.__version__} finds {many or 'no'} GPU{'s' * (many > 1)} here"
    try:
        return (Batches(recipe, device), _name_of(device)), ""
    except DeviceError as error:
        return None, str(error)


def _name_of(device: "torch.device") -> str:
    """What decides how it rounds, as far as it can be told."""
    import torch

    if device.type == "cpu":
        return f"cpu by torch {torch.__version__}"
    model = torch.cuda.get_device_name(device)
    return f"{model}, torch {torch.__version__}, CUDA {torch.version.cuda}"
