//! A message file in memory: the dump, then the stream, in one piece of text.

use std::path::Path;

/// Places of frames in a text.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'t> {
    text: &'t str,
    places: &'t [(usize, usize)],
}

impl<'t> Frames<'t> {
    /// The frames in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'t str> {
        self.places.iter().map(move |&(begin, end)| &self.text[begin..end])
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.places.len()
    }

    /// Their length together.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.places.iter().map(|(begin, end)| end - begin).sum()
    }
}

/// One frame a line: array frames with every book first, then single frames.
#[derive(Debug)]
pub struct MessageFile {
    text: String,
    dump: Vec<(usize, usize)>,
    stream: Vec<(usize, usize)>,
}

impl MessageFile {
    /// Reads a file. With `changes_only` the stream keeps its price changes and nothing else.
    ///
    /// # Errors
    /// One line: the file cannot be read, or has no dump or no stream.
    pub fn read(path: &Path, changes_only: bool) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("--file {}: {error}", path.display()))?;
        let mut file = Self { text, dump: Vec::new(), stream: Vec::new() };
        let mut begin = 0;
        for line in file.text.split_inclusive('\n') {
            let (frame, place) = (line.trim_end(), (begin, begin + line.trim_end().len()));
            begin += line.len();
            if frame.starts_with('[') {
                file.dump.push(place);
            } else if !frame.is_empty() && (!changes_only || frame.contains("\"price_changes\"")) {
                file.stream.push(place);
            }
        }
        if file.dump.is_empty() || file.stream.is_empty() {
            let name = path.display();
            return Err(format!("--file {name}: expected array frames (the dump) and single ones"));
        }
        Ok(file)
    }

    /// Array frames with every book.
    #[must_use]
    pub fn dump(&self) -> Frames<'_> {
        Frames { text: &self.text, places: &self.dump }
    }

    /// What follows.
    #[must_use]
    pub fn stream(&self) -> Frames<'_> {
        Frames { text: &self.text, places: &self.stream }
    }
}
