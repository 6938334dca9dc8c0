import { z } from 'zod';

/**
 * What arrives in the stream `reports`, as JSON in its field `request`.
 *
 * Said by   realtime-gateway (`read`, `delivered`), and by whoever applies a send with readTo (`notice`)
 * Heard by  one of the read-status-services
 * Delivery  at least once: cursors only advance, so a repeat changes nothing
 */
export const reportRequest = z.discriminatedUnion('kind', [
  z.object({
    kind: z.enum(['read', 'delivered']),
    /** Where the answer goes, and by which name. */
    gatewayId: z.string(),
    id: z.string(),
    socketId: z.string().optional(),
    userId: z.string(),
    reports: z.array(
      z.object({
        channelId: z.string(),
        seq: z.number(),
        term: z.number().optional(),
        threadSeq: z.number().optional(),
      }),
    ),
    /** The span in which it was said, where that is traced. */
    trace: z.string().max(55).optional(),
  }),
  z.object({ kind: z.literal('notice'), userId: z.string(), channelId: z.string() }),
]);
export type ReportRequest = z.infer<typeof reportRequest>;
/** One that a device said. */
export type SaidRequest = Exclude<ReportRequest, { kind: 'notice' }>;
