"""The mammography submission: find → verify → install → predict → write.

`inference.launch` runs it where no other command is set; alone, it does the same steps. Until the
wheels are installed only the standard library is imported; everything else after that, inside
functions.
"""

import sys
import time
import traceback
from collections.abc import Sequence

from inference.boot import install, prepare
from inference.errors import RunError
from inference.interrupts import Interrupted, Interrupts
from inference.log import say, settle
from inference.options import Options, parse
from inference.output import Output

OUT_OF_MEMORY = 1
FAULT_OF_OURS = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the submission and return its exit code; expected errors become one message."""
    interrupts = Interrupts()
    try:
        with interrupts.caught():
            run(parse(arguments), interrupts)
            return 0
    except (RunError, Interrupted) as error:
        say(f"error: {error}", error=True)
        return error.exit_code
    except MemoryError:
        say("error: Memory ran out. Use fewer --workers, or a machine with more.", error=True)
        return OUT_OF_MEMORY
    except Exception:  # noqa: BLE001 - a fault of ours, the one case with a traceback
        say(traceback.format_exc(), error=True)
        return FAULT_OF_OURS
    finally:
        settle()


def run(options: Options, interrupts: Interrupts) -> None:
    """Find the bundles, install the wheels, predict the test set, write the submission."""
    start = prepare.started()
    with Output(options.output) as files:  # tried before minutes of work, not after hours
        prepared = prepare.prepare(options.request)
        install.activate(prepared.site)
        installed = time.monotonic() - start
        # From here on what was installed may be imported.
        from inference import screening

        setup = screening.set_up(options, prepared, start)
        screening.begin(setup, files)
        predicted = screening.predict(setup, files, installed)
        interrupts.hold()
        screening.conclude(setup, files, predicted)


if __name__ == "__main__":
    sys.exit(main())
