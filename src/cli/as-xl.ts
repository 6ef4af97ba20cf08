/** What makes `xt-xl` of `xt`: the commands of xl and no others, so that its shortened commands mean what they do in xl. Pure. */

/** Commands that xl does not have: all below a topic, and one by itself. */
export const isOurs = (id: string): boolean => /:|^completion$/.test(id)

export const xlCommands = (ids: readonly string[]): readonly string[] => ids.filter((id) => !isOurs(id))
