# SPDX-License-Identifier: BSD-2-Clause
"""Plots of figures over the number of clients, by gnuplot, both axes logarithmic."""
import pathlib
import subprocess
import tempfile

COLOURS = ["#777777", "#aaaaaa", "#cccccc", "#c00000", "#ff7f0e", "#1f77b4", "#2ca02c", "#9467bd"]
COLOURS += ["#8c564b", "#17becf"]
GNUPLOT = """set terminal svg size 760,440 font 'sans,12' background 'white' noenhanced
set output '{output}'
set title '{title}'
set xlabel 'clients'
set ylabel '{label}'
set logscale xy
set key outside right
set grid
plot {series}
"""


def draw(output, title, label, lines):
    """lines: (number of its colour, name, whether it is thick, points) of each line; a point is
    (clients, median, lowest, highest). Without points there is no file."""
    with tempfile.TemporaryDirectory() as folder:
        series = []
        for number, name, thick, points in lines:
            if not points:
                continue
            path = pathlib.Path(folder) / str(number)
            path.write_text(
                "".join(" ".join(map(str, point)) + "\n" for point in points), encoding="ascii"
            )
            style = f"lw {3 if thick else 1.5} lc rgb '{COLOURS[number % len(COLOURS)]}'"
            series.append(f"'{path}' with yerrorlines {style} pt 7 ps 0.4 title '{name}'")
        if series:
            script = GNUPLOT.format(
                output=output, title=title, label=label, series=", ".join(series)
            )
            subprocess.run(["gnuplot"], input=script, text=True, check=True)
