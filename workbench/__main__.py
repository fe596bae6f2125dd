"""``python -m workbench``: the lab and its headless twins. Each command loads what it needs."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

import workbench
from workbench.launch import environment

app = typer.Typer(
    name="python -m workbench",
    help="Efficient deep learning in JAX: an interactive lab, and the same from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(workbench.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def lab(
    folder: Annotated[
        Path | None, typer.Option(help="Work folder for the copied notebooks.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="First port to try.")] = 8888,
    base_url: Annotated[str, typer.Option(help="Path under which a proxy shows the server.")] = "/",
    browser: Annotated[
        bool | None, typer.Option("--browser/--no-browser", help="Open a browser.")
    ] = None,
) -> None:
    """Open JupyterLab on a copy of the notebooks."""
    from workbench.launch import lab as launcher

    missing = launcher.missing_notebooks()
    if missing:
        raise SystemExit(missing)
    launcher.run(folder, port=port, base_url=base_url, browser=browser)


@app.command()
def doctor() -> None:
    """Report devices, versions, memory, compile cache, and what is missing."""
    from workbench.launch import doctor as examination

    raise SystemExit(examination.run())


@app.command()
def compare(
    lab: Annotated[str, typer.Argument(help="Which lab: diffusion.")],
    settings: Annotated[
        Path | None,
        typer.Option(help="A file with settings copied from the panel.", show_default=False),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="group.knob=value, on top of the settings; may be repeated."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=0, help="Timed rounds; 0 measures no time.")] = 7,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables.", show_default=False)
    ] = None,
) -> None:
    """Compare a lab's methods without a notebook."""
    from workbench.labs.command import compare as run

    raise SystemExit(run(lab, settings=settings, changes=change or (), repeats=repeats, out=out))


@app.command()
def fit(
    file: Annotated[
        Path, typer.Argument(help="A table of runs, a log, a folder of logs, or a sweep's name.")
    ],
    law: Annotated[str, typer.Option(help="Which law, by its key.")] = "chinchilla",
    out: Annotated[Path, typer.Option(help="Folder for the record and its tables.")] = Path("fit"),
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0 for no intervals.")] = 0,
    objective: Annotated[str, typer.Option(help="huber, squared or absolute.")] = "huber",
    delta: Annotated[float, typer.Option(help="Where Huber's function turns.")] = 1e-3,
    resampling: Annotated[str, typer.Option(help="case, size, cluster or parametric.")] = "case",
    starts: Annotated[int, typer.Option(min=1, help="Starts of the search.")] = 64,
    seed: Annotated[int, typer.Option(help="Of starts and resamples.")] = 0,
    shared: Annotated[
        bool, typer.Option("--shared", help="One set of exponents for all methods of the table.")
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave faulty rows out, and say which.")
    ] = False,
    method: Annotated[
        str, typer.Option(help="Whose runs; the table's first where left out, or all.")
    ] = "",
    epochs: Annotated[
        float, typer.Option(min=1, help="Most epochs; a law of repeated data takes all.")
    ] = 4.0,
    ratio: Annotated[float, typer.Option(min=0, help="Least tokens a parameter.")] = 0.0,
    highest: Annotated[int, typer.Option(min=0, help="Runs of the highest losses to drop.")] = 0,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Points read while the rate was high as well.")
    ] = False,
    left_out: Annotated[
        list[str] | None, typer.Option(help="Label of a row to leave out; may be repeated.")
    ] = None,
    points: Annotated[str, typer.Option(help="Of a log by step: last of each run, or all.")] = (
        "last"
    ),
    size: Annotated[
        str, typer.Option(help="N where no column has it: 70M, or small = 70M; large = 1.3B.")
    ] = "",
    step_tokens: Annotated[
        str, typer.Option(help="Tokens of an update where a log has steps alone; as --size.")
    ] = "",
) -> None:
    """Fit a scaling law to a table of runs."""
    from workbench.scaling.command import Chosen, run
    from workbench.scaling.selecting import Filter

    filters = Filter(ratio, epochs, highest, not unfinished, frozenset(left_out or ()))
    rows = Chosen(method, filters, points, size, step_tokens)
    settings = {"objective": objective, "delta": delta, "resampling": resampling}
    settings |= {"bootstrap": bootstrap, "starts": starts, "seed": seed}
    raise SystemExit(run(file, law, out, shared=shared, drop=drop, rows=rows, **settings))


@app.command()
def figure(
    record: Annotated[Path, typer.Argument(help="A figure.toml, its folder, or its .zip.")],
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the stored picture; 1 if it differs.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures.", show_default=False)
    ] = None,
) -> None:
    """Draw an exported figure again from its stored rows."""
    from workbench.figures.command import figure as draw

    raise SystemExit(draw(record, check=check, out=out))


@app.command()
def sweep(
    function: Annotated[
        str | None, typer.Argument(help="module:function, called once a point.")
    ] = None,
    grid: Annotated[
        Path | None, typer.Argument(help="JSON: axes, or a list of points.", show_default=False)
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the sweep; alone, to look.", show_default=False)
    ] = None,
    together: Annotated[
        list[str] | None, typer.Option(help="Setting done in one call; may be repeated.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="At once on this machine.", show_default=False)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler.", show_default=False)
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what these runs saved.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Ask a sweep to wait.")] = False,
    go: Annotated[bool, typer.Option("--go", help="Ask a paused sweep to go on.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Ask a sweep to end.")] = False,
    store: Annotated[
        Path | None, typer.Option(help="Folder of the runs.", show_default=False)
    ] = None,
) -> None:
    """Train over a grid of settings, or look at such a sweep and steer it."""
    from workbench.sweeps.command import command

    raise SystemExit(
        command(
            function, grid, study, pause=pause, go=go, stop=stop, store=store,
            together=together or (), processes=processes, dask=dask, resume=not anew,
        )
    )  # fmt: skip


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; all by default.")] = None,
    tiny: Annotated[bool, typer.Option("--tiny", help="Short forms, to see they run.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the JSON records.", show_default=False)
    ] = None,
) -> None:
    """Run the benchmarks of a checkout, each in a process of its own."""
    import subprocess

    script = Path(__file__).resolve().parents[1] / "benchmarks" / "run.py"
    if not script.exists():
        raise SystemExit("The benchmarks are part of the repository, not of the installed package.")
    options = [*(["--tiny"] if tiny else []), *(["--out", str(out)] if out else [])]
    raise SystemExit(
        subprocess.run([sys.executable, str(script), *options, *(names or [])]).returncode
    )


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback."""
    problem = environment.unsupported()
    if problem:
        raise SystemExit(problem)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
