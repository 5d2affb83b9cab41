"""The papers' figures, regenerated and judged: ``python -m figures``.

A script ``<paper>_<figure>_<subject>.py`` (or ``bench_<subject>.py``) is one figure. It has three
literals and six functions, and the runner does everything else (processes, resuming, files,
records, verdicts):

    ID, STATEMENTS, TITLE                  read without running the script
    settings(full) -> {name: Setting}      what the figure depends on, marked "paper" or "ours"
    compute(settings, run) -> data         heavy work: run(function, [kwargs, ...]) -> [result, ...]
    plot(data) -> matplotlib Figure
    claims(data) -> [Claim]                the paper's claims, judged
    tables(data) -> {name: (header, rows)} the plotted numbers, one CSV each
    summary(data) -> str                   optional: a table for the console

Reading order: ``catalogue`` (which figures there are), ``record`` (what a figure states), ``cells``
(how it is computed), ``style`` (how it looks), ``runner`` (one figure from script to files),
``__main__`` (the command).
"""
