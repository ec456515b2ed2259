// SPDX-License-Identifier: GPL-2.0

//! The curves: what grows with what, of both cores.

use crate::figures::Row;
use anyhow::{anyhow, Result};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (1200, 900);
const FONT: &str = "DejaVu Sans";
const OURS: RGBColor = RGBColor(0xb0, 0x30, 0x20);
const PEER: RGBColor = RGBColor(0x20, 0x50, 0xa0);

/// One diagram. Both axes are logarithmic.
struct Panel {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// Where on the x axis a row stands, if it stands here.
    place: fn(&[&str]) -> Option<f64>,
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "Load: relocations to at most 1,000 symbols of the kernel",
        x: "relocations",
        y: "instructions",
        place: |id| match *id {
            ["load", "vmlinux", relocations, used] => {
                let (relocations, used): (f64, f64) =
                    (relocations.parse().ok()?, used.parse().ok()?);
                (used == relocations.min(1_000.0)).then_some(relocations)
            }
            _ => None,
        },
    },
    Panel {
        title: "Load: 10 relocations to a module",
        x: "symbols of the module",
        y: "instructions",
        place: |id| match *id {
            ["load", "module", symbols, "10", "10"] => symbols.parse().ok(),
            _ => None,
        },
    },
    Panel {
        title: "Load: 1,000 relocations to a module",
        x: "symbols of the module",
        y: "instructions",
        place: |id| match *id {
            ["load", "module", symbols, "1000", "1000"] => symbols.parse().ok(),
            _ => None,
        },
    },
    Panel {
        title: "Switch-over: enabling",
        x: "threads",
        y: "instructions",
        place: |id| match *id {
            ["switch", "enable", threads] => threads.parse().ok(),
            _ => None,
        },
    },
];

/// The picture of all curves.
pub fn svg(rows: &[Row], arch: &str) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let drawn = draw(&root, rows, arch);
        drawn.and_then(|()| root.present().map_err(failed))?;
    }
    Ok(svg)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw the curves: {error}")
}

fn draw<B: DrawingBackend>(
    root: &DrawingArea<B, plotters::coord::Shift>,
    rows: &[Row],
    arch: &str,
) -> Result<()> {
    root.fill(&WHITE).map_err(failed)?;
    let title = format!("livepatch.ko and the C core, {arch}");
    let below = root.titled(&title, (FONT, 24)).map_err(failed)?;
    for (area, panel) in below.split_evenly((2, 2)).iter().zip(&PANELS) {
        let curve = |of: fn(&Row) -> Option<f64>| {
            let mut points: Vec<(f64, f64)> = rows
                .iter()
                .filter_map(|row| {
                    let id: Vec<&str> = row.id.split('.').collect();
                    // What is zero or less has no place on such an axis.
                    let y = of(row).filter(|&y| y > 0.0)?;
                    Some(((panel.place)(&id)?, y))
                })
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points
        };
        let curves = [
            ("livepatch.ko", OURS, curve(|row| Some(row.ours?.value))),
            ("C core", PEER, curve(|row| Some(row.peer?.value))),
        ];
        panel.draw(area, &curves)?;
    }
    Ok(())
}

type Curve<'a> = (&'a str, RGBColor, Vec<(f64, f64)>);

impl Panel {
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        curves: &[Curve],
    ) -> Result<()> {
        let points = || curves.iter().flat_map(|curve| &curve.2);
        let bounds = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = points()
                .map(of)
                .fold((f64::MAX, f64::MIN), |(low, high), value| {
                    (low.min(value), high.max(value))
                });
            // Whole powers of ten, at least one.
            let (low, high) = (low.log10().floor(), high.log10().ceil());
            10f64.powf(low)..10f64.powf(high.max(low + 1.0))
        };
        if points().next().is_none() {
            return Ok(());
        }
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 16))
            .margin(14)
            .x_label_area_size(44)
            .y_label_area_size(76)
            .build_cartesian_2d(
                bounds(|point| point.0).log_scale(),
                bounds(|point| point.1).log_scale(),
            )
            .map_err(failed)?;
        self.mesh(&mut chart)?;
        for (name, color, points) in curves.iter().filter(|curve| !curve.2.is_empty()) {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            chart
                .draw_series(line)
                .map_err(failed)?
                .label(*name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
            let dots = points
                .iter()
                .map(|&point| Circle::new(point, 4, color.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 14))
            .draw()
            .map_err(failed)
    }

    fn mesh<B, X, Y>(&self, chart: &mut ChartContext<'_, B, Cartesian2d<X, Y>>) -> Result<()>
    where
        B: DrawingBackend,
        X: AsRangedCoord<Value = f64> + Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: AsRangedCoord<Value = f64> + Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|value| axis(*value))
            .y_label_formatter(&|value| axis(*value))
            .label_style((FONT, 13))
            .axis_desc_style((FONT, 13))
            .light_line_style(BLACK.mix(0.05))
            .bold_line_style(BLACK.mix(0.15))
            .draw()
            .map_err(failed)
    }
}

/// A number as it stands on an axis.
fn axis(value: f64) -> String {
    let (value, unit) = match value {
        large if large >= 1e9 => (value / 1e9, "G"),
        large if large >= 1e6 => (value / 1e6, "M"),
        large if large >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    format!("{value:.0}{unit}")
}
