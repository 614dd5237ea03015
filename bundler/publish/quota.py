"""How many hours of accelerators are left this week, where Kaggle's client can ask."""

from datetime import timedelta

from bundler.errors import NetworkError
from bundler.publish.client import Client

HOUR = timedelta(hours=1)


def show(client: Client, accelerator: str) -> None:
    """Note the quota of the kind of machine that is about to be used; its lack stops nothing."""
    view = getattr(client.api, "quota_view", None)  # clients before 2.2 have none
    if not accelerator or view is None:
        return
    is_tpu = accelerator.lower().startswith("tpu")
    try:
        answer = client.call("ask for the quota", view, attempts=1)
    except NetworkError as error:
        client.progress.note(f"The quota is not known: {error}")
        return
    quota = answer.tpu_quota if is_tpu else answer.gpu_quota
    if quota is None:
        return
    used, total = quota.time_used, quota.total_time_allowed
    text = f"{used / HOUR:.1f} of {total / HOUR:.1f} {'TPU' if is_tpu else 'GPU'} hours are used"
    if used >= total:
        client.progress.warn(f"{text}: the run waits until the quota is renewed.")
    else:
        client.progress.note(f"{text} this week")
