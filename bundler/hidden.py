"""[tool.rsna-bundle.hidden]: how a competition's tables and files belong together.

`rsna-bundle competition --write` fills it from the competition's folder; people may edit it. Paths
are below that folder; `{column}` in a template stands for a row's value, `*` for any name, and a
template that ends with a slash for a whole folder.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from bundler.errors import UsageError

Pairs = tuple[tuple[str, str], ...]  # a TOML table of text, in its order

AWKWARD = (
    "missing file",
    "empty file",
    "unseen category",
    "missing values",
    "leading zeros",
    "many files",
    "single file",
)


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What the hidden test of a rehearsal is dealt from; empty values are inferred."""

    hook: str = ""  # package.module:function that writes the folder instead
    metric: str = ""  # package.module:function, called as Kaggle's own metrics are
    submission: str = ""  # the file that the notebook writes
    sample: str = ""  # the sample submission
    test: str = ""  # the table of the test rows; "" where there is none
    train: str = ""  # the table whose rows become the hidden test
    label_table: str = ""  # where the labels are, if not in `train`
    id: tuple[str, ...] = ()  # the submission's columns that name a row
    targets: tuple[str, ...] = ()  # the submission's columns that are predicted
    labels: tuple[str, ...] = ()  # columns that the notebook must not see
    unit: str = ""  # rows with the same value of this column stay together
    row_id: tuple[str, ...] = ()  # templates of the ids that belong to one test row
    derived: Pairs = ()  # test column → template over others, where `train` lacks it
    repeat: tuple[tuple[str, tuple[str, ...]], ...] = ()  # column → values each train row gets
    tables: Pairs = ()  # further test table → its training counterpart
    files: Pairs = ()  # template of test files → of the training files
    label_files: tuple[str, ...] = ()  # templates of training files that show the answer
    order: str = "test"  # of the sample's rows: test, sorted or numeric
    gateway: bool = False  # the rerun serves rows through kaggle_evaluation
    awkward: tuple[str, ...] = AWKWARD  # the cases that are planted
    tolerance: float = 1e-3  # by which answers to the same row may differ between two runs

    @property
    def is_filled(self) -> bool:
        """Say whether the tables are described, so that nothing has to be inferred."""
        by_sample = self.sample and (self.train or self.test or self.gateway or self.hook)
        return bool(by_sample or (self.gateway and self.test and self.id))


NAMES = tuple(field.name for field in fields(Hidden))
MAPPINGS = ("derived", "repeat", "tables", "files")  # TOML tables
NO_UNIT = (
    "Where each row stands alone, name the column that names a row (the submission's id); to have "
    "the unit inferred, leave the key out."
)
CHOICES = {"order": ("test", "sorted", "numeric"), "awkward": AWKWARD}


def parse(value: object, where: str) -> Hidden:
    """Return the settings in a TOML value: a table, or the name of a hook alone.

    `where` begins the message of the UsageError that an unknown key or another type raises.
    """
    if isinstance(value, str):
        return Hidden(hook=value)
    if not isinstance(value, Mapping):
        raise UsageError(f'{where} must be a table, or "package.module:function".')
    for key, item in value.items():
        if key not in NAMES:
            near = difflib.get_close_matches(str(key), NAMES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{where} has no key {str(key)!r}.{hint} Its keys are {', '.join(NAMES)}."
            )
        _check(str(key), item, f"{where} {key}")
    checked = {str(key): _frozen(item, str(key)) for key, item in value.items()}
    # Each value was held against its default's type above.
    return Hidden(**checked)  # type: ignore[arg-type]


def _check(key: str, value: object, where: str) -> None:
    default = getattr(Hidden(), key)
    if key in MAPPINGS:
        inner = list | tuple if key == "repeat" else str
        if not isinstance(value, Mapping) or not all(isinstance(v, inner) for v in value.values()):
            raise UsageError(
                f"{where} must be a table of {'lists' if key == 'repeat' else 'text'}."
            )
    elif isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UsageError(f"{where} is {value!r}; it must be a list of text.")
    elif isinstance(default, bool) or not isinstance(default, float):
        if not isinstance(value, type(default)):
            raise UsageError(f"{where} is {value!r}; it must be {type(default).__name__}.")
    elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UsageError(f"{where} is {value!r}; it must be a number that is not negative.")
    if key == "unit" and not value:
        raise UsageError(f"{where} is empty. {NO_UNIT}")
    _check_choice(key, value, where)


def _check_choice(key: str, value: object, where: str) -> None:
    allowed = CHOICES.get(key)
    given = value if isinstance(value, list) else [value]
    if allowed and (wrong := [item for item in given if item not in allowed]):
        raise UsageError(f"{where} is {wrong[0]!r}; it must be {' or '.join(allowed)}.")
    if key in ("hook", "metric") and isinstance(value, str) and value:
        module, _, function = value.partition(":")
        if (
            not all(part.isidentifier() for part in module.split("."))
            or not function.isidentifier()
        ):
            raise UsageError(f'{where} is {value!r}; it must be "package.module:function".')


def _frozen(value: object, key: str) -> object:
    if isinstance(value, Mapping):
        return tuple((str(name), _frozen(item, key)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(_frozen(item, key) for item in value)
    return float(value) if key == "tolerance" and isinstance(value, int) else value
