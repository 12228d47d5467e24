"""The image datasets: what they are and how they are measured, without any heavy dependency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlvit.specs import DataRequest, Protocol, Setting

if TYPE_CHECKING:
    from rlvit.contracts import ImageData

QUICK_IMAGES = 256  # at most, as many of each class
BATCH = 64  # images classified at a time; fixed, since sums depend on it in the last bits


# What AgentViT's notebook does, a protocol of its own so that its numbers never meet others. Its
# batch counts: an agent that chooses one mask for a whole batch depends on it.
NOTEBOOK = Protocol(
    name="notebook",
    summary=(
        "top-1 on 9,500 images of cifar10's official test set, on which the notebook also selects "
        "its model, after training on all 50,000 training images: selection and report on test "
        "images; compares with nothing else"
    ),
    source="AgentViT's notebook, cells 6 (batch) and 14 (splits): DavideTraini/RL-for-ViT, 509c888",
    settings={"split": "notebook-val", "train": "all", "images": 0, "batch": 128},
)


@dataclass(frozen=True)
class Dataset:
    """A dataset, and the split on which methods are compared."""

    name: str
    classes: int  # 0: as many as the folder has
    size: int  # pixels a side, of the images or as they are usually cropped
    images: tuple[int, int]  # to train on, to measure on; 0: unknown before they are read
    split: str
    summary: str
    source: str
    further: tuple[Protocol, ...] = ()  # protocols that only this dataset has
    mirrored: bool = True  # an image mirrored left to right shows the same

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The same two for every dataset, whose settings name its split; then its own."""
        usual = (self._protocol("full", 0), self._protocol("quick", QUICK_IMAGES))
        return usual + self.further

    def _protocol(self, name: str, images: int) -> Protocol:
        summary = f"top-1 on every image of {self.name}'s split {self.split!r}"
        if images:
            summary = (
                f"top-1 on at most {images} images of {self.name}'s split {self.split!r}, as many "
                "of each class; compares with nothing else"
            )
        settings: Mapping[str, Setting] = {"split": self.split, "images": images, "batch": BATCH}
        return Protocol(name, summary, "rlvit" if images else self.source, settings)


def load_dataset(
    dataset: Dataset, settings: Mapping[str, Setting], request: DataRequest
) -> ImageData:
    """Read a dataset, and make sure that it has the split that will be measured.

    Settings of the protocol: `split`, which is measured; `train`, for datasets that can be trained
    on in more than one way, which way.

    Raises:
        UsageProblem: the files are not there, laid out otherwise, or the split is unknown.
        RlvitError: a file is damaged, or cannot be downloaded.
    """
    from rlvit_tasks import arrays, folders

    loaders: Mapping[str, Callable[..., ImageData]] = {
        "digits": arrays.load_digits,
        "mnist": arrays.load_mnist,
        "cifar10": arrays.load_cifar10,
        "imagenette": folders.load_imagenette,
        "imagenet": folders.load_imagenet,
        "imagefolder": folders.load_imagefolder,
    }
    chosen = {"train": str(settings["train"])} if "train" in settings else {}
    data = loaders[dataset.name](request, **chosen)
    data.split(str(settings["split"]))
    return data


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        "digits",
        10,
        8,
        (1_259, 359),
        "test",
        "1,797 handwritten digits of 8x8 pixels that come with scikit-learn",
        "Alpaydin and Kaynak 1998, UCI; the split is rlvit's own",
        mirrored=False,
    ),
    Dataset(
        "mnist",
        10,
        28,
        (55_000, 10_000),
        "test",
        "70,000 handwritten digits; the last 5,000 training images are for validation",
        "LeCun et al. 1998",
        mirrored=False,
    ),
    Dataset(
        "cifar10",
        10,
        32,
        (45_000, 10_000),
        "test",
        "60,000 photographs of 10 kinds; the last 5,000 training images are for validation",
        "Krizhevsky 2009",
        (NOTEBOOK,),
    ),
    Dataset(
        "imagenette",
        10,
        224,
        (9_469, 3_925),
        "val+unseen",
        "10 classes of ImageNet; no file of ImageNet's validation set is trained on",
        "Howard 2019, Imagenette version 2",
    ),
    Dataset(
        "imagenet",
        1000,
        224,
        (1_281_167, 50_000),
        "val",
        "ImageNet-1k: 1.28 million training and 50,000 validation images",
        "Russakovsky et al. 2015",
    ),
    Dataset(
        "imagefolder",
        0,
        224,
        (0, 0),
        "val",
        "your own images, as train/<class>/* and val/<class>/* (or test, or a tenth held out)",
        "the user's",
    ),
)
