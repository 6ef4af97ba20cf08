/** Time for the pure parts: a clock that never goes back, and tasks for later. */

export const nowUs = (): number => performance.now() * 1000

/** Runs a task later; answers how to call it off. A waiting task keeps no process alive. */
export function after(us: number, task: () => void): () => void {
  const timer = setTimeout(task, Math.ceil(us / 1000)).unref()
  return () => clearTimeout(timer)
}

/** Runs a task after other events of this thread had their turn. */
export const defer = (task: () => void): void => void setImmediate(task)
