//! stub until merged
/// stub
#[derive(Debug)]
pub struct TlsSession;
/// stub
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError;
impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tls")
    }
}
impl TlsSession {
    /// stub
    pub fn handle_ciphertext(
        &mut self,
        _b: &[u8],
        _sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        Ok(())
    }
    /// stub
    pub fn write_plaintext(&mut self, _b: &[u8]) -> Result<(), TlsError> {
        Ok(())
    }
    /// stub
    pub fn poll_ciphertext(&mut self, _out: &mut Vec<u8>) {}
    /// stub
    pub fn close_notify(&mut self) {}
}
