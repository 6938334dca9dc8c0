import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/** Swagger UI at `/docs`, the document at `/docs/openapi.json`. Only services that have documents install it. */
export async function serveDocs(app: NestFastifyApplication, document: object): Promise<void> {
  const { SwaggerModule } = await import('@nestjs/swagger');
  type Document = Parameters<typeof SwaggerModule.setup>[2];
  SwaggerModule.setup('docs', app, document as Document, {
    jsonDocumentUrl: 'docs/openapi.json',
    raw: ['json'],
    customSiteTitle: 'Tidemark',
  });
}
