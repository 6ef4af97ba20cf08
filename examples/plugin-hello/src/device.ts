/** What stands in a guest's configuration: `hello = ["id=0,greeting=good day", "id=1"]`. */
import { z } from 'zod'

/** One device, parsed. */
export const helloDevice = z.strictObject({
  /** Its number in xenstore's paths. */
  id: z.int().min(0).max(0xffff),
  greeting: z.string().min(1).max(1000).optional(),
})
export type HelloDevice = z.output<typeof helloDevice>

/** One item of the list, as xl writes such things: key=value, with commas between. */
const item = z
  .string()
  .regex(/^\w+=[^,]*(,\w+=[^,]*)*$/, 'must be key=value, with commas between')
  .transform((text): unknown => Object.fromEntries(text.split(',').map((pair) => splitOnce(pair))))
  .pipe(z.strictObject({ id: z.coerce.number().default(0), greeting: z.string().optional() }))
  .pipe(helloDevice)

export const helloStanza = z
  .array(item)
  .refine((devices) => new Set(devices.map(({ id }) => id)).size === devices.length, 'an id stands twice')
  .default([])
  .describe('Devices that greet: id=NUMBER,greeting=TEXT')

const splitOnce = (pair: string): [string, string] => {
  const at = pair.indexOf('=')
  return [pair.slice(0, at), pair.slice(at + 1)]
}
