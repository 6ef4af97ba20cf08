/** What makes `xt-xl` of `xt`: the commands of xl and no others, so that its shortened commands mean what they do in xl. Pure. */

/** Topics and commands that xl does not have. */
const OURS = /^(?:config|xenstore|plugins):|^completion$/

export const xlCommands = (ids: readonly string[]): readonly string[] => ids.filter((id) => !OURS.test(id))
