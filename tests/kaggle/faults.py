"""What the Kaggle on loopback can be told to do wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Refusal:
    """A call that is answered wrongly, some times: with a status, or by cutting the connection."""

    call: str  # the end of the call's name, such as "CreateDatasetVersion"
    times: int = 1
    status: int = 0
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: str = ""  # "before" the call takes effect, or "after" it
    stall: float = 0.0  # seconds of silence before the answer


@dataclass(kw_only=True)
class Faults:
    """All faults that are armed; none by default."""

    refusals: list[Refusal] = field(default_factory=list)
    cut_blob_at: int | None = None  # bytes after which a blob's connection is cut
    cut_blob_times: int = 0
    cut_blob_status: int = 0  # an answer before the cut: 503 makes the client resume
    hold_blob_at: int | None = None  # bytes after which a blob's upload is held up
    holding: bool = False
    blob_status: int = 0  # what a blob's upload is answered with, instead of being taken
    blob_status_times: int = 0
    lose: set[str] = field(default_factory=set)  # files that vanish after their upload, once
    damage: set[str] = field(default_factory=set)  # files of which a byte is changed, once
    processing: int = 0  # calls for which a new version is being processed
    stale: int = 0  # calls for which "ready" is said of the previous version
    processing_fails: bool = False
    unpack_by_content: bool = False  # a `.whl.tmp` is unpacked, too
    layout: str = "name"  # where an archive's members go: flat, name, name/name
    push_error: str = ""  # a push is refused in its answer, with status 200
    push_alters: bool = False  # the text that arrives is another
    internet_on: bool = False  # the notebook is saved with the internet on
    stale_mount: bool = False  # the notebook runs with the previous versions
    stale_status: int = 0  # calls for which a run's status is the previous version's
    cut_log_after: int = 0  # lines after which the log's stream breaks, once
    kernel_fails: str = ""  # how a notebook's run ends, instead of well
    no_outputs: bool = False  # a run that says complete, and left nothing
    submission_fails: str = ""
    clock: float = 0.0  # seconds by which the server's Date is off

    def refuse(self, call: str, **how: object) -> None:
        """Arm a refusal."""
        self.refusals.append(Refusal(call=call, **how))  # type: ignore[arg-type]

    def take(self, call: str) -> Refusal | None:
        """Return the refusal that this call meets, and count it."""
        for refusal in self.refusals:
            if refusal.times > 0 and call.endswith(refusal.call):
                refusal.times -= 1
                return refusal
        return None
