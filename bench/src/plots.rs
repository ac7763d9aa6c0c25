//! The curves over how many requests are in flight, as SVG beside the result file.

use std::path::{Path, PathBuf};

use plotters::prelude::*;

use crate::outcome::Outcome;
use crate::plan::{Row, Work};
use crate::runner::Result;

/// One picture: its file, what is up, and the figure.
const PLOTS: [(&str, &str, &str); 2] = [
    ("requests.svg", "requests per second", "per_second"),
    ("cpu.svg", "CPU s per million requests, both sides", "cpu_per_million"),
];

/// A row's points: in flight, and the median.
type Curve = (Row, Vec<(f64, f64)>);

/// Draws what there is of curves. Returns the files.
pub fn draw(result_file: &Path, results: &[Result]) -> Outcome<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    for (file, title, figure) in PLOTS {
        let curves = curves(results, figure);
        if !curves.is_empty() {
            let path = result_file.with_file_name(file);
            plot(&path, title, &curves)?;
            drawn.push(path);
        }
    }
    Ok(drawn)
}

fn curves(results: &[Result], figure: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for result in results.iter().filter(|result| Work::CURVE.contains(&result.work)) {
        let Some(spread) = result.spread(figure) else { continue };
        let point = (result.work.load().0 as f64, spread.median);
        match curves.iter_mut().find(|(row, _)| *row == result.row) {
            Some((_, points)) => points.push(point),
            None => curves.push((result.row, vec![point])),
        }
    }
    curves
}

fn plot(path: &Path, title: &str, curves: &[Curve]) -> Outcome<()> {
    let values = || curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.1));
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let area = SVGBackend::new(path, (900, 600)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{title}, 128 bytes, by requests in flight"), ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((1.0..10_000.0_f64).log_scale(), (low * 0.7..high * 1.4).log_scale())?;
    chart.configure_mesh().x_desc("in flight").y_desc(title).draw()?;
    for (index, (row, points)) in curves.iter().enumerate() {
        // One colour for a side and runtime; the default runtime of each is fainter.
        let colour = Palette99::pick(index).mix(if row.runtime.word() == "mt" { 0.5 } else { 1.0 });
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        let name = format!("{} ({})", row.side.title(), row.runtime.word());
        chart.draw_series(line)?.label(name).legend(move |(x, y)| {
            PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2))
        });
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(area.present()?)
}
