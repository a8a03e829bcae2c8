/** Texts for values of unknown kind. */

/**
 * What an error says, or any other value as text. Never throws: whatever a program throws must not
 * break the code that reports it, and `Object.create(null)` for one has no text of its own.
 */
export function describe(value: unknown): string {
  try {
    return String(value instanceof Error ? value.message : value);
  } catch {
    return "a value without a text";
  }
}
