//! Tables and figures as people read them.

/// A table: the first column to the left, all others to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).to_vec()] }
    }

    /// A table whose heads are made at run time.
    pub fn with_heads(heads: Vec<String>) -> Self {
        Self { rows: vec![heads] }
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, a line a row.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &Vec<String>, column: usize| row.get(column).map_or("", String::as_str).to_owned();
        let width = |column: usize| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = widths.iter().enumerate().map(|(column, width)| {
                let text = cell(row, column);
                if column == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Whole numbers with a comma every three digits: 1,234,567.
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number <= -0.5 { format!("-{text}") } else { text }
}

/// Three significant digits, as far as they are worth it: 0.27, 1.53, 12.4, 1,234.
pub fn figure(number: f64) -> String {
    match number.abs() {
        size if size >= 99.95 => thousands(number),
        size if size >= 9.995 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// KiB as MiB, with one decimal.
pub fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

/// One figure divided by another, as "2.3x"; a dash where there is nothing to divide by.
pub fn ratio(ours: f64, theirs: f64) -> String {
    if theirs > 0.0 && ours.is_finite() { format!("{:.2}x", ours / theirs) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_figures_stand_to_the_right() {
        let mut table = Table::new(["what", "msg/s", "p50 ms"]);
        table.row(["one".to_owned(), "1,204".to_owned(), "0.81".to_owned()]);
        table.row(["sixty-four".to_owned(), "9".to_owned()]);
        let expected = "\
what        msg/s  p50 ms
one         1,204    0.81
sixty-four      9";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            ["0", "7", "999", "1000", "1234567"].map(|n| thousands(n.parse().unwrap())),
            ["0", "7", "999", "1,000", "1,234,567"]
        );
        assert_eq!(thousands(-1234.0), "-1,234");
        assert_eq!(
            [0.0, 0.268, 1.526, 12.36, 99.96, 1234.4].map(figure),
            ["0.00", "0.27", "1.53", "12.4", "100", "1,234"]
        );
        assert_eq!(mib(1536), "1.5");
    }

    #[test]
    fn a_ratio_of_nothing_is_a_dash() {
        assert_eq!(ratio(3.0, 2.0), "1.50x");
        assert_eq!(ratio(3.0, 0.0), "-");
        assert_eq!(ratio(f64::INFINITY, 2.0), "-");
    }
}
