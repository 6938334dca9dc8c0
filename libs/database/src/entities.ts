import { Column, Entity, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';

// The tables as TypeORM knows them; `sql/0001-tables.sql` says what each column means. bigint arrives as a
// decimal string, as ids are in the contract.

@Entity('users')
export class UserEntity {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id: string;
  @Column('text', { name: 'external_id', unique: true }) externalId: string;
  @Column('text') name: string;
  @Column('text', { nullable: true }) picture: string | null;
  @Column('text') kind: 'person' | 'bot';
  @Column('boolean') receipts: boolean;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
}

@Entity('channels')
export class ChannelEntity {
  @PrimaryGeneratedColumn('identity', { type: 'bigint' }) id: string;
  @Column('text') name: string;
  @Column('text') visibility: 'public' | 'private';
  @Column('bigint', { name: 'head_seq' }) headSeq: string;
  @Column('bigint') ordinal: string;
  @Column('bigint', { name: 'pruned_seq' }) prunedSeq: string;
  @Column('bigint', { name: 'pruned_ordinal' }) prunedOrdinal: string;
  @Column('bigint', { name: 'log_floor_seq' }) logFloorSeq: string;
  @Column('integer', { name: 'member_count' }) memberCount: number;
  @Column('timestamptz', { name: 'archived_at', nullable: true }) archivedAt: Date | null;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
}

@Entity('channel_members')
export class ChannelMemberEntity {
  @PrimaryColumn('bigint', { name: 'channel_id' }) channelId: string;
  @PrimaryColumn('bigint', { name: 'user_id' }) userId: string;
  @Column('text') role: 'owner' | 'member';
  @Column('bigint', { name: 'joined_seq' }) joinedSeq: string;
  @Column('bigint', { name: 'left_seq', nullable: true }) leftSeq: string | null;
  @Column('integer') term: number;
  @Column('bigint', { name: 'cursor_seq' }) cursorSeq: string;
  @Column('bigint', { name: 'delivered_seq' }) deliveredSeq: string;
  @Column('timestamptz', { name: 'last_read_at', nullable: true }) lastReadAt: Date | null;
  @Column('integer', { name: 'unread_count' }) unreadCount: number;
  @Column('integer', { name: 'mention_count' }) mentionCount: number;
  @Column('bigint', { name: 'counted_seq' }) countedSeq: string;
  @Column('bigint', { name: 'counted_cursor' }) countedCursor: string;
  @Column('boolean') muted: boolean;
  @Column('boolean') receipts: boolean;
}

@Entity('messages')
export class MessageEntity {
  @PrimaryColumn('bigint', { name: 'channel_id' }) channelId: string;
  @PrimaryColumn('bigint') seq: string;
  @Column('bigint') ordinal: string;
  @Column('text') kind: 'user' | 'bot' | 'system';
  @Column('bigint', { name: 'author_id' }) authorId: string;
  @Column('text', { nullable: true }) text: string | null;
  @Column({ type: 'bigint', array: true }) mentions: string[];
  @Column('boolean', { name: 'mentions_all' }) mentionsAll: boolean;
  @Column('bigint', { name: 'reply_to', nullable: true }) replyTo: string | null;
  @Column('bigint', { name: 'thread_seq', nullable: true }) threadSeq: string | null;
  @Column('text', { name: 'client_id' }) clientId: string;
  @Column('text') fingerprint: string;
  @Column('timestamptz', { name: 'created_at' }) createdAt: Date;
  @Column('timestamptz', { name: 'edited_at', nullable: true }) editedAt: Date | null;
  @Column('timestamptz', { name: 'deleted_at', nullable: true }) deletedAt: Date | null;
  @Column({
    type: 'boolean',
    generatedType: 'STORED',
    asExpression: "kind <> 'system' AND thread_seq IS NULL",
  })
  counts: boolean;
}

export const entities = [UserEntity, ChannelEntity, ChannelMemberEntity, MessageEntity];
