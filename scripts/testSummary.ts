/**
 * A reporter for `node --test` that says only what one reads last: which tests were skipped and why, what failed by
 * name, and the counts. The `spec` reporter ends with the failures' details, far below its counts.
 */
import type { EventData } from "node:test";
import type { TestEvent } from "node:test/reporters";

export default async function* summary(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type === "test:pass" && event.data.skip !== undefined) {
      yield `skipped: ${event.data.name} (${event.data.skip === true ? "no reason given" : event.data.skip})\n`;
    } else if (event.type === "test:fail" && isOwnFailure(event.data)) {
      yield `failed: ${event.data.name} (${place(event.data)})\n`;
    } else if (event.type === "test:summary" && event.data.file === undefined) {
      const { counts, duration_ms: duration } = event.data;
      const failed = counts.tests - counts.passed - counts.skipped - counts.todo;
      yield `tests ${counts.tests}, pass ${counts.passed}, fail ${failed}, skipped ${counts.skipped}, `;
      yield `in ${Math.round(duration / 1000)} s\n`;
    }
  }
}

/** A suite fails because its tests do; only those are worth a line. */
function isOwnFailure({ details }: EventData.TestFail): boolean {
  return !("failureType" in details.error && details.error.failureType === "subtestsFailed");
}

function place({ file, line }: EventData.TestFail): string {
  return file === undefined ? "in no file" : `${file.replace(`${process.cwd()}/`, "")}:${line}`;
}
