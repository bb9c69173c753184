/** A priority queue of wake-up times: one entry an IKE SA, stale ones passed over when they surface. */

interface Entry<T> {
  at: number;
  of: T;
}

export class Deadlines<T> {
  #heap: Entry<T>[] = [];
  /** When each is due, and the time under which its one valid heap entry stands (never later than `at`). */
  #current = new Map<T, { at: number; queuedAt: number }>();

  /** Sets when `of` is due; Infinity takes it out. */
  set(of: T, at: number): void {
    if (at === Number.POSITIVE_INFINITY) {
      this.#current.delete(of);
      return;
    }
    const known = this.#current.get(of);
    if (known !== undefined && known.queuedAt <= at) {
      // A later time needs no entry yet: the earlier one surfaces first and is put back.
      known.at = at;
      return;
    }
    this.#current.set(of, { at, queuedAt: at });
    this.#push({ at, of });
  }

  delete(of: T): void {
    this.#current.delete(of);
  }

  /** Earliest time at which something is due, or undefined. */
  next(): number | undefined {
    this.#settle();
    return this.#heap[0]?.at;
  }

  /** Takes out and returns one that is due at `now`. */
  takeDue(now: number): T | undefined {
    this.#settle();
    const top = this.#heap[0];
    if (top === undefined || top.at > now) return undefined;
    this.#pop();
    this.#current.delete(top.of);
    return top.of;
  }

  /** Drops entries that are gone or replaced, and moves those whose time is later, until the first one is right. */
  #settle(): void {
    for (;;) {
      const top = this.#heap[0];
      if (top === undefined) return;
      const known = this.#current.get(top.of);
      if (known?.queuedAt === top.at && known.at === top.at) return;
      this.#pop();
      if (known?.queuedAt === top.at) {
        known.queuedAt = known.at;
        this.#push({ at: known.at, of: top.of });
      }
    }
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child += 1;
      if (heap[child]!.at >= last.at) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
