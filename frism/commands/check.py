"""Run `frism check`: test whether a method's file keeps the contract."""

import sys
from typing import Annotated

import typer

from frism.errors import UserError, report_errors


@report_errors()
def check_method(
    file: Annotated[str, typer.Argument(help="A method's file, anywhere, or the name of a method.")],
) -> None:
    """Run a method on small random tensors and print every rule of the contract that it breaks.

    Exit code 1 if it breaks one.
    """
    from frism.method.contract import TrialFitting, can_run, check
    from frism.method.discovery import find

    try:
        method = find(file)
        faults = [f"{file}: {fault}." for fault in check(method)]
    except UserError as error:
        faults = [str(error)]
    for sentence in faults:
        print(sentence, file=sys.stderr)
    if faults:
        raise SystemExit(1)
    ran = can_run(method, TrialFitting(scorer=TrialFitting().score))
    remark = "" if ran else f" (not run: it is fitted with {' and '.join(method.missing_needs)})"
    print(f"{file}: {method.label} keeps the contract{remark}.")
