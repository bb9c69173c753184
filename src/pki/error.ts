/** Something about the PKI that a person has to put right; the message says what and how. */
export class PkiError extends Error {
  override readonly name = "PkiError";
}
