/** Which name is meant by one that there is not. */

/** The name that is near enough to be meant; `undefined` where none is. */
export function meant(given: string, known: readonly string[]): string | undefined {
  const plain = plainOf(given);
  const elsewhere = ELSEWHERE[plain];
  if (elsewhere !== undefined && known.includes(elsewhere)) return elsewhere;
  // `idle_timeout` and `timeout` for one with a unit, `token` for one that says whose it is.
  const ends = (name: string) => name.startsWith(plain) || name.endsWith(plain);
  const same =
    known.find((name) => plainOf(name) === plain) ??
    known.find((name) => plain.length >= LEAST && ends(plainOf(name)));
  if (same !== undefined) return same;
  const most = plain.length < LEAST ? 1 : 2;
  const near = known
    .map((name) => ({ name, distance: distanceOf(plain, plainOf(name)) }))
    .filter(({ distance }) => distance <= most);
  return near.sort((one, other) => one.distance - other.distance)[0]?.name;
}

/** What has quite another name in Python, and in other libraries. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  outputtype: "outputSchema",
  responseformat: "outputSchema",
  responsemodel: "outputSchema",
};

/** What is shorter is near to everything. */
const LEAST = 4;

const plainOf = (name: string) => name.toLowerCase().replaceAll(/[_-]/g, "");

/** How many letters have to be put in, taken out or replaced. */
function distanceOf(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + Number(one[row - 1] !== other[column - 1]);
      line.push(Math.min(replaced, (above[column] ?? 0) + 1, (line[column - 1] ?? 0) + 1));
    }
    above = line;
  }
  return above[other.length] ?? 0;
}
